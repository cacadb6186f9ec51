//! Server-sent events (WHATWG HTML, section 9.2): the part that the local API uses. Bytes in, data of whole events out.

/// Largest event in bytes; more means that the other side is no device.
const MAX_EVENT: usize = 4 << 20;

/// The stream makes no sense: an event is larger than anything a device sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Takes bytes as they come and gives the data of each event that is complete.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were looked at already.
    seen: usize,
    data: Option<Vec<u8>>,
}

impl Parser {
    /// Adds bytes that arrived. All complete events must have been taken out with [`Parser::next`] before.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let held = self.buffer.len() - self.seen + self.data.as_ref().map_or(0, Vec::len);
        if held + bytes.len() > MAX_EVENT {
            return Err(TooLarge);
        }
        self.buffer.drain(..self.seen);
        self.seen = 0;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Data of the next complete event.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let rest = &self.buffer[self.seen..];
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            if line.is_empty() {
                self.seen += end + 1;
                if let Some(data) = self.data.take() {
                    return Some(data);
                }
                continue;
            }
            if let Some(value) = line.strip_prefix(b"data:") {
                let value = value.strip_prefix(b" ").unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                    None => self.data = Some(value.to_vec()),
                }
            }
            self.seen += end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// All events of a stream that arrives in pieces of the given size.
    fn events(stream: &[u8], piece: usize) -> Vec<String> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for bytes in stream.chunks(piece) {
            parser.push(bytes).unwrap();
            while let Some(data) = parser.next() {
                events.push(String::from_utf8(data).unwrap());
            }
        }
        events
    }

    #[test]
    fn events_do_not_depend_on_how_bytes_are_cut() {
        let stream = b": hello\n\ndata: one\n\nevent: x\nid: 7\ndata:two\r\ndata: lines\r\n\r\nretry: 5\n\ndata\n\ndata: three\n\ndata: incomplete\n";
        let whole = events(stream, stream.len());
        assert_eq!(whole, ["one", "two\nlines", "three"]);
        for piece in 1..stream.len() {
            assert_eq!(events(stream, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn endless_line_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 64 << 10];
        let refused = (0..100).any(|_| {
            let pushed = parser.push(&piece);
            assert_eq!(parser.next(), None);
            pushed.is_err()
        });
        assert!(refused);
    }

    #[test]
    fn endless_event_of_short_lines_is_refused() {
        let mut parser = Parser::default();
        let refused = (0..200_000).any(|_| {
            let pushed = parser.push(b"data: this event never comes to an end\n");
            assert_eq!(parser.next(), None);
            pushed.is_err()
        });
        assert!(refused);
    }
}
