//! Transfers: lists, and how each one ended.

use api::ErrorCode;
use api::types::{PausedBy, Transfer, TransferState};
use serde::Serialize;

use super::bars::{Moving, Standing, in_the_way};
use super::{Page, Show, Table, Tone, clean};
use crate::units::{count, rate, size, span};

/// What took less time, or was less, says nothing about the speed of a path.
const MEASURABLE_MS: u64 = 200;
const MEASURABLE_BYTES: u64 = 1 << 20;

/// A list of transfers.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct TransferList(pub(crate) Vec<Transfer>);

impl Show for TransferList {
    fn human(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("No transfers. (`--all` lists those that ended, too.)");
            return;
        }
        let mut table = Table::new(page, &["ID", "", "PEER", "STATE", "WHAT", ">SIZE", ">DONE", ">RATE", ">ETA"]);
        for transfer in &self.0 {
            table.row([
                (None, transfer.id.chars().take(8).collect()),
                (None, arrow(transfer).to_owned()),
                (Some(Tone::Strong), transfer.peer.clone()),
                (Some(tone(transfer)), state(transfer)),
                (None, names(transfer)),
                (None, total(transfer)),
                (None, share(transfer)),
                (None, running(transfer, rate(transfer.rate))),
                (None, running(transfer, transfer.eta_s.map_or_else(|| "-".to_owned(), span))),
            ]);
        }
        table.put(page);
        for transfer in self.0.iter().filter(|transfer| transfer.problem.is_some()) {
            page.line(ending(page, transfer));
        }
    }
}

impl Show for Transfer {
    fn human(&self, page: &mut Page) {
        page.line(ending(page, self));
        page.field("id", clean(&self.id));
        page.field("peer", format!("{} {}", clean(&self.peer), clean(&self.device_id)));
        let more = if self.scanned { "" } else { " so far" };
        page.field(
            "bytes",
            format!(
                "{} of {}{more}, {} over the wire",
                size(self.bytes_done),
                size(self.bytes_total),
                size(self.bytes_wire)
            ),
        );
        let failed = if self.files_failed > 0 { format!(", {} failed", self.files_failed) } else { String::new() };
        page.field("files", format!("{} of {}{more}{failed}", self.files_done, self.files_total));
        if self.state == TransferState::Running {
            let left = self.eta_s.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
            page.field("rate", format!("{}{left}", rate(self.rate)));
        }
        if let Some(limit) = self.rate_limit {
            page.field("limit", rate(limit));
        }
        if let Some(lane) = &self.lane {
            page.field("lane", clean(lane));
        }
        page.field("made", page.time(self.created_at));
        if let Some(ended) = self.ended_at {
            page.field("ended", page.time(ended));
        }
        if let Some(receipt) = &self.receipt {
            page.field("receipt", clean(receipt));
        }
    }
}

/// How a transfer stands or ended, with warnings and where it landed: one line or more, without a final line end.
pub(crate) fn ending(page: &Page, transfer: &Transfer) -> String {
    let mut text = format!("{} {}", page.paint(tone(transfer), mark(transfer)), headline(transfer));
    if transfer.state == TransferState::Done {
        text.push_str(&format!(
            ", {} in {}{}",
            size(transfer.bytes_done),
            count(transfer.files_done, "file"),
            speed(transfer)
        ));
    }
    if let Some(problem) = &transfer.problem {
        text.push_str(&format!(": {}", clean(problem)));
    }
    let stuck = matches!(transfer.problem_code, Some(ErrorCode::Io | ErrorCode::DiskFull));
    if stuck && transfer.state == TransferState::Waiting && transfer.direction == "in" && transfer.peer != "guest" {
        let id: String = transfer.id.chars().take(8).collect();
        text.push_str(&format!("\n  `warren inbox accept {} --out DIR` takes it into another folder", clean(&id)));
    }
    for warning in &transfer.warnings {
        text.push_str(&format!("\n  {} {}", page.paint(Tone::Warn, "warning:"), clean(warning)));
    }
    if transfer.direction == "in" {
        for path in &transfer.landed {
            text.push_str(&format!("\n  {}", clean(path)));
        }
        if let Some(message) = transfer.text.as_deref().filter(|text| !text.is_empty()) {
            for line in super::clean_text(message).lines() {
                text.push_str(&format!("\n  | {line}"));
            }
        }
    }
    text
}

/// Who, what and state.
pub(crate) fn headline(transfer: &Transfer) -> String {
    format!(
        "{} {}: {}, {}",
        if transfer.direction == "out" { "to" } else { "from" },
        clean(&transfer.peer),
        clean(&names(transfer)),
        state(transfer)
    )
}

/// What is in a transfer, in a few words. Not cleaned.
pub(crate) fn names(transfer: &Transfer) -> String {
    match transfer.names.as_slice() {
        [] if transfer.text.is_some() => "a text".to_owned(),
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one}, {two}"),
        [one, two, more @ ..] => format!("{one}, {two} and {} more", more.len()),
    }
}

/// Percent that is done; 100 only when all is.
fn percent(transfer: &Transfer) -> u64 {
    if transfer.state == TransferState::Done && !is_in_part(transfer) {
        return 100;
    }
    let done = u128::from(transfer.bytes_done) * 100 / u128::from(transfer.bytes_total.max(1));
    u64::try_from(done).unwrap_or(99).min(99)
}

/// All that was found, or what was found up to now.
fn total(transfer: &Transfer) -> String {
    match (transfer.scanned, transfer.bytes_total) {
        (true, total) => size(total),
        (false, 0) => "-".to_owned(),
        (false, found) => format!("{} so far", size(found)),
    }
}

/// Percent that is done, where it is known of how much.
fn share(transfer: &Transfer) -> String {
    if transfer.scanned || transfer.state == TransferState::Done {
        format!("{}%", percent(transfer))
    } else {
        "-".to_owned()
    }
}

/// Average speed while content flowed, where that was long enough to tell.
fn speed(transfer: &Transfer) -> String {
    match transfer.flow_ms {
        Some(millis) if millis >= MEASURABLE_MS && transfer.flow_bytes >= MEASURABLE_BYTES => {
            let average = u128::from(transfer.flow_bytes) * 1000 / u128::from(millis);
            format!(", {}", rate(u64::try_from(average).unwrap_or(u64::MAX)))
        }
        _ => String::new(),
    }
}

fn running(transfer: &Transfer, text: String) -> String {
    match transfer.state {
        TransferState::Running => text,
        _ => "-".to_owned(),
    }
}

fn arrow(transfer: &Transfer) -> &'static str {
    if transfer.direction == "out" { "->" } else { "<-" }
}

/// It has ended, and something could not be sent.
fn is_in_part(transfer: &Transfer) -> bool {
    transfer.state == TransferState::Done && transfer.files_failed > 0
}

/// A state in words.
pub(crate) fn state(transfer: &Transfer) -> String {
    let text = match transfer.state {
        TransferState::Queued if transfer.peer == "guest" => "waits for whoever has the code",
        TransferState::Queued => "queued until online",
        TransferState::Offered => "offered",
        TransferState::Running => "running",
        TransferState::Finishing => "finishing",
        TransferState::Paused => match transfer.paused_by {
            Some(PausedBy::Other) => "paused by the other side",
            Some(PausedBy::Both) => "paused by both sides",
            Some(PausedBy::This) | None => "paused",
        },
        TransferState::Waiting => "waiting to go on",
        TransferState::Done if is_in_part(transfer) => {
            return format!("done, {} missing", count(transfer.files_failed, "file"));
        }
        TransferState::Done => "done",
        TransferState::Rejected => "rejected",
        TransferState::Cancelled => "cancelled",
        TransferState::Failed => "failed",
    };
    text.to_owned()
}

fn tone(transfer: &Transfer) -> Tone {
    match transfer.state {
        TransferState::Done if is_in_part(transfer) => Tone::Warn,
        TransferState::Done => Tone::Good,
        TransferState::Rejected | TransferState::Cancelled | TransferState::Failed => Tone::Bad,
        TransferState::Running | TransferState::Finishing => Tone::Accent,
        _ => Tone::Warn,
    }
}

fn mark(transfer: &Transfer) -> &'static str {
    match transfer.state {
        TransferState::Done if is_in_part(transfer) => "!",
        TransferState::Done => "✓",
        TransferState::Rejected | TransferState::Cancelled | TransferState::Failed => "✗",
        _ => "…",
    }
}

/// What scripts are shown while a transfer runs.
#[derive(Serialize)]
pub(crate) struct TransferLine<'a> {
    transfer: &'a Transfer,
}

impl Moving for Transfer {
    type Line<'a> = TransferLine<'a>;

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.peer
    }

    fn percent(&self) -> u64 {
        percent(self)
    }

    fn message(&self, all: bool) -> String {
        let more = if self.scanned { "" } else { "+" };
        let mut amount = format!("{} of {}{more}", size(self.bytes_done), size(self.bytes_total));
        if all && (self.files_total > 1 || !self.scanned) {
            amount.push_str(&format!(", {} of {}{more} files", self.files_done, self.files_total));
        }
        match self.state {
            TransferState::Running => {
                let eta = self.eta_s.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
                let phase = if all && !self.scanned { ", still looking for files" } else { "" };
                format!("{amount}, {}{eta}{phase}", rate(self.rate))
            }
            TransferState::Offered => format!("{amount}, waits for their yes"),
            _ => format!("{amount}, {}{}", state(self), in_the_way(self.problem.as_deref())),
        }
    }

    fn standing(&self) -> Option<Standing> {
        let moves = matches!(self.state, TransferState::Running | TransferState::Finishing);
        let standing = Standing { headline: headline(self), problem: self.problem.clone(), moves };
        (!self.state.is_final()).then_some(standing)
    }

    fn line(&self) -> TransferLine<'_> {
        TransferLine { transfer: self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bars::tests::transfer;
    use super::*;

    #[test]
    fn what_is_still_being_counted_is_not_shown_as_the_whole() {
        let mut counting = transfer("bo", 5 << 20, 10 << 20);
        assert_eq!((total(&counting).as_str(), share(&counting).as_str()), ("10 MiB", "50%"));
        counting.scanned = false;
        assert_eq!((total(&counting).as_str(), share(&counting).as_str()), ("10 MiB so far", "-"));
        counting.bytes_total = 0;
        assert_eq!(total(&counting), "-", "nothing was looked at yet");
    }

    #[test]
    fn a_rate_is_told_of_what_flowed_long_enough() {
        let told = |flow_bytes, flow_ms| speed(&Transfer { flow_bytes, flow_ms, ..transfer("bo", 0, 0) });
        assert_eq!(told(10 << 20, Some(2_000)), ", 5 MiB/s");
        for (bytes, millis) in [(10 << 20, None), (10 << 20, Some(199)), (700, Some(2_000))] {
            assert_eq!(told(bytes, millis), "", "{bytes} {millis:?}");
        }
    }
}
