//! Plain tables: a dim heading, columns two blanks apart, no lines.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement};

use super::{Page, Tone, clean};

/// A table under way.
pub(crate) struct Table {
    table: comfy_table::Table,
    color: bool,
}

impl Table {
    /// A table with these headings; a heading that begins with `>` makes its column right-aligned.
    pub(crate) fn new(page: &Page, headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        match page.columns {
            Some(columns) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(columns);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        if page.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let color = page.color;
        table.set_header(headings.iter().map(|heading| {
            let cell = Cell::new(heading.trim_start_matches('>'));
            if color { cell.add_attribute(Attribute::Dim) } else { cell }
        }));
        for (index, heading) in headings.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if heading.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { table, color }
    }

    /// Adds a row. Cells are cleaned here.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(Option<Tone>, String); N]) {
        let color = self.color;
        self.table.add_row(cells.map(|(tone, text)| {
            let cell = Cell::new(clean(&text));
            match tone.filter(|_| color) {
                None => cell,
                Some(Tone::Good) => cell.fg(Color::Green),
                Some(Tone::Bad) => cell.fg(Color::Red),
                Some(Tone::Warn) => cell.fg(Color::Yellow),
                Some(Tone::Dim) => cell.add_attribute(Attribute::Dim),
                Some(Tone::Strong) => cell.add_attribute(Attribute::Bold),
                Some(Tone::Accent) => cell.fg(Color::Cyan),
            }
        }));
    }

    /// True if nothing in it has to be broken.
    pub(crate) fn fits(&self, page: &Page) -> bool {
        let needed: usize =
            self.table.column_max_content_widths().into_iter().map(|width| usize::from(width) + 2).sum();
        page.columns.is_none_or(|columns| needed <= columns.into())
    }

    /// Puts the table on the page.
    pub(crate) fn put(self, page: &mut Page) {
        for line in self.table.lines() {
            page.line(line.trim_end());
        }
    }
}
