//! Listings, histories and differences of the tree of a space.

use api::types::{Diff, DiffLine, EntryKind, TreeEntry, TreePath, TreeVersion};

use super::{Page, Show, Table, Tone, clean, clean_bytes};
use crate::units::size;

/// Widest name of a writer in a long listing.
const WHO_MAX: usize = 24;

/// How a listing looks.
pub(crate) struct Look {
    /// What is listed: names in it are shown without it.
    pub(crate) base: TreePath,
    /// One per line, with all that is known.
    pub(crate) long: bool,
    /// One per line.
    pub(crate) lines: bool,
}

impl Look {
    /// Puts a part of a listing on the page.
    pub(crate) fn put(&self, page: &mut Page, entries: &[TreeEntry]) {
        match page.columns {
            _ if self.long => self.put_long(page, entries),
            Some(columns) if !self.lines => {
                let names: Vec<_> = entries.iter().map(|entry| (tone(entry), self.name(entry, true))).collect();
                put_columns(page, &names, columns.into());
            }
            looked_at => {
                for entry in entries {
                    let name = self.name(entry, looked_at.is_some());
                    let name = tone(entry).map_or(name.clone(), |tone| page.paint(tone, &name));
                    page.line(name);
                }
            }
        }
    }

    /// The name of an entry; with marks for people.
    fn name(&self, entry: &TreeEntry, marks: bool) -> String {
        let inside = entry.path.0.strip_prefix(self.base.0.as_slice());
        let inside = match inside {
            Some(inside) if self.base.is_root() => Some(inside),
            Some(inside) => inside.strip_prefix(b"/"),
            None => None,
        };
        let mut name = match inside.unwrap_or(&entry.path.0) {
            b"" => "/".to_owned(),
            name => clean_bytes(name),
        };
        if marks {
            name.push_str(match entry.kind {
                EntryKind::Dir if !entry.path.is_root() => "/",
                EntryKind::Realm => "+",
                EntryKind::File | EntryKind::Link if entry.shared => "+",
                _ => "",
            });
            if entry.deleted {
                name.push_str(" (deleted)");
            }
        }
        name
    }

    fn put_long(&self, page: &mut Page, entries: &[TreeEntry]) {
        let who = |entry: &TreeEntry| {
            let name = entry.changed.as_ref().map(|change| clean(&change.by).into_owned()).unwrap_or_default();
            if name.chars().count() <= WHO_MAX {
                return name;
            }
            name.chars().take(WHO_MAX - 1).chain(['…']).collect()
        };
        let width = entries.iter().map(|entry| who(entry).chars().count()).max().unwrap_or_default();
        for entry in entries {
            let name = self.name(entry, false);
            let name = tone(entry).map_or(name.clone(), |tone| page.paint(tone, &name));
            let empty = entry.kind == EntryKind::Dir || (entry.kind == EntryKind::Realm && entry.size == 0);
            let bytes = if empty { "-".to_owned() } else { size(entry.size) };
            let time = entry.mtime.map_or("-".to_owned(), |at| page.time(at));
            let link = entry.link.as_ref().map(|to| format!(" -> {}", clean_bytes(&to.0))).unwrap_or_default();
            let marks = marks(entry);
            let marks = if marks.is_empty() { marks } else { format!("  {}", page.paint(Tone::Warn, &marks)) };
            let who = who(entry);
            page.line(format!("{} {bytes:>10}  {time:<16}  {who:<width$}  {name}{link}{marks}", mode(entry)));
        }
    }
}

/// What should be known of an entry beside its name.
fn marks(entry: &TreeEntry) -> String {
    let marks = [
        (entry.conflict, "conflict"),
        (entry.deleted, "deleted"),
        (!entry.local && entry.kind == EntryKind::File && !entry.deleted, "not here"),
    ];
    let marks: Vec<&str> = marks.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark).collect();
    if marks.is_empty() { String::new() } else { format!("({})", marks.join(", ")) }
}

fn tone(entry: &TreeEntry) -> Option<Tone> {
    match entry.kind {
        _ if entry.deleted => Some(Tone::Dim),
        _ if entry.conflict => Some(Tone::Warn),
        EntryKind::Dir | EntryKind::Realm => Some(Tone::Accent),
        _ if entry.shared => Some(Tone::Accent),
        EntryKind::Link => Some(Tone::Good),
        EntryKind::File => None,
    }
}

/// Kind and permission bits, as `ls -l` has them.
fn mode(entry: &TreeEntry) -> String {
    let kind = match entry.kind {
        _ if entry.shared => '+',
        EntryKind::Dir => 'd',
        EntryKind::File => '-',
        EntryKind::Link => 'l',
        EntryKind::Realm => '+',
    };
    let bits = |mode: u32| {
        (0..9).rev().map(|bit| if mode >> bit & 1 == 1 { ['x', 'w', 'r'][bit as usize % 3] } else { '-' }).collect()
    };
    format!("{kind}{}", entry.mode.map_or_else(|| " ".repeat(9), bits))
}

/// As many columns as fit, filled downwards.
fn put_columns(page: &mut Page, names: &[(Option<Tone>, String)], width: usize) {
    let lengths: Vec<usize> = names.iter().map(|(_, name)| name.chars().count()).collect();
    let widths = (1..=names.len().min(width / 3)).rev().find_map(|columns| {
        let rows = lengths.len().div_ceil(columns);
        let widths: Vec<usize> =
            lengths.chunks(rows).map(|column| column.iter().max().copied().unwrap_or_default()).collect();
        let needed = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        (needed <= width).then_some((rows, widths))
    });
    let (rows, widths) = widths.unwrap_or((names.len(), Vec::new()));
    for row in 0..rows {
        let mut line = String::new();
        let mut gap = 0;
        for (column, index) in (row..names.len()).step_by(rows).enumerate() {
            let (tone, name) = &names[index];
            line.push_str(&" ".repeat(gap));
            line.push_str(&tone.map_or(name.clone(), |tone| page.paint(tone, name)));
            gap = widths.get(column).map_or(0, |width| width + 2 - lengths[index]);
        }
        page.line(line);
    }
}

/// What happened to a place.
pub(crate) struct History<'a>(pub(crate) &'a [TreeVersion]);

impl History<'_> {
    /// Puts it on the page.
    pub(crate) fn put(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("Nothing has happened there.");
            return;
        }
        let mut table = Table::new(page, &["VERSION", "WHEN", "WHO", "WHAT", ">SIZE", "WHERE"]);
        for version in self.0 {
            let detail = version.detail.as_ref().map(|detail| format!(", {detail}")).unwrap_or_default();
            let void = version.void.as_ref().map(|why| format!(" (counts for nothing: {why})")).unwrap_or_default();
            let shown = if version.shown { " *" } else { "" };
            let tone = match (version.shown, &version.void) {
                (true, _) => Some(Tone::Good),
                (_, Some(_)) => Some(Tone::Bad),
                _ => None,
            };
            table.row([
                (tone, format!("{}{shown}", version.id.chars().take(12).collect::<String>())),
                (None, page.time(version.change.at)),
                (None, version.change.device.clone()),
                (None, format!("{}{detail}{void}", version.what)),
                (None, version.size.map_or("-".to_owned(), size)),
                (None, version.path.as_ref().map_or("-".to_owned(), super::space::path)),
            ]);
        }
        table.put(page);
        if self.0.iter().any(|version| version.shown) {
            page.line("*: what is shown now");
        }
    }
}

impl Show for Diff {
    fn human(&self, page: &mut Page) {
        if let Some(text) = &self.text {
            return diff_text(page, text);
        }
        if self.changes.is_empty() {
            page.line("No difference.");
        }
        for change in &self.changes {
            let line = difference(page, change, self.binary);
            page.line(line);
        }
    }
}

/// One path that differs.
fn difference(page: &Page, change: &DiffLine, binary: bool) -> String {
    let name = |entry: &TreeEntry| clean_bytes(&entry.path.0);
    match (&change.old, &change.new) {
        (None, None) => String::new(),
        (None, Some(new)) => format!("{} {}  {}", page.paint(Tone::Good, "+"), name(new), size(new.size)),
        (Some(old), None) => format!("{} {}  {}", page.paint(Tone::Bad, "-"), name(old), size(old.size)),
        (Some(old), Some(new)) => {
            let mark = page.paint(Tone::Accent, "~");
            let names = if old.path == new.path { name(new) } else { format!("{} -> {}", name(old), name(new)) };
            let sizes =
                if old.size == new.size { size(new.size) } else { format!("{} -> {}", size(old.size), size(new.size)) };
            let binary = if binary { ", no text or too large to compare" } else { "" };
            format!("{mark} {names}  {sizes}{binary}")
        }
    }
}

/// A unified diff.
pub(super) fn diff_text(page: &mut Page, text: &str) {
    for line in text.lines() {
        let shown = super::clean_text(line).into_owned();
        let tone = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => Some(Tone::Strong),
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            Some(b'@') => Some(Tone::Accent),
            _ => None,
        };
        let shown = tone.map_or(shown.clone(), |tone| page.paint(tone, &shown));
        page.line(shown);
    }
}
