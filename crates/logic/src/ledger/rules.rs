//! The rules of judging, one by one, so that tests can leave one out and see that it is missed.

/// Which rules hold. Everything but tests uses [`Rules::ALL`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Revocations void.
    pub(crate) revoke: bool,
    /// What the revoking device had seen still counts.
    pub(crate) cut: bool,
    /// The grant that somebody acts under must count itself.
    pub(crate) cap: bool,
    /// The role must allow it.
    pub(crate) role: bool,
    /// Owners are revoked by members above them only.
    pub(crate) above: bool,
    /// ... who act by fewer grants than the revoked one.
    pub(crate) shallower: bool,
    /// After a fork nothing counts.
    pub(crate) fork: bool,
    /// Only the founding member settles forks.
    pub(crate) founder: bool,
    /// A realm that does not inherit keeps roles of the realm around it out.
    pub(crate) inherit: bool,
    /// A grant counts on its realm and what is inside, not elsewhere.
    pub(crate) realm: bool,
    /// A revocation on a realm reaches no further than that realm.
    pub(crate) scope: bool,
    /// A grant after a revocation brings the member back.
    pub(crate) again: bool,
    /// ... but not a device that was revoked.
    pub(crate) lost: bool,
    /// Among the devices of one member the older one wins.
    pub(crate) elder: bool,
    /// Nobody is granted anything by somebody whom it stands above.
    pub(crate) circle: bool,
}

impl Rules {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        revoke: true,
        cut: true,
        cap: true,
        role: true,
        above: true,
        shallower: true,
        fork: true,
        founder: true,
        inherit: true,
        realm: true,
        scope: true,
        again: true,
        lost: true,
        elder: true,
        circle: true,
    };
}
