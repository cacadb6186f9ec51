//! The rules of the fold and of plans, one by one, so that tests can leave one out and see that it is missed.
//!
//! Outside of tests every rule holds, and asking costs nothing.

/// A rule that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A delete does not remove what it has not seen.
    EditWins,
    /// A node that was moved after what its deletes have seen is there.
    MoveWins,
    /// What others name in their bases is no head.
    Superseded,
    /// A head that is taken out no longer supersedes.
    Retracted,
    /// The latest head is shown.
    LatestHead,
    /// The latest place counts.
    LatestPlace,
    /// In a ring something is set aside.
    RingsOpen,
    /// ... the latest move.
    LatestOfRing,
    /// What was set aside counts again when the ring is gone.
    AsideComesBack,
    /// A deleted directory is shown as long as something in it is.
    Holding,
    /// What nobody made and nobody wrote is not there.
    Made,
    /// What has no place is shown in lost+found.
    LostFound,
    /// Of twins the first keeps the name.
    FirstKeepsName,
    /// Names are compared by their folds.
    Folded,
    /// No twin is shown by a name that somebody else has.
    FreeNames,
    /// A commit goes in once.
    Once,
    /// A realm is shown in one place.
    RealmOnce,
    /// Nobody makes a node under an id that is not its own.
    OwnIds,
    /// A view opens the rings of its own changes.
    ViewRings,
    /// What supersedes a version that a view does not count supersedes what is below.
    Through,
    /// What hangs together with what a plan moves is held where it is.
    PlanTies,
    /// No way up leads in a circle after a plan.
    PlanRings,
    /// Directories above of what comes back come back.
    PlanParents,
    /// Twins have the names that they had.
    PlanTwins,
    /// Deletes of a plan have seen moves that its moves free.
    PlanDeletesFreed,
    /// Deletes of a plan have seen its own moves.
    PlanDeletesMoved,
    /// Undoing looks at all that shares a ring now.
    UndoKnots,
    /// ... or would share one without what is undone.
    UndoViewKnots,
    /// What has no place to go back to goes to the root rather than into itself.
    PlanHomeless,
}

impl Rule {
    #[cfg(not(test))]
    pub(super) const fn holds(self) -> bool {
        true
    }

    #[cfg(test)]
    pub(super) fn holds(self) -> bool {
        LEFT_OUT.get() != Some(self)
    }

    /// Leaves the rule out, on this thread, while that is done.
    #[cfg(test)]
    pub(super) fn without<T>(self, done: impl FnOnce() -> T) -> T {
        LEFT_OUT.set(Some(self));
        let result = done();
        LEFT_OUT.set(None);
        result
    }
}

#[cfg(test)]
thread_local! {
    static LEFT_OUT: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}
