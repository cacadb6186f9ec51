//! "Who has this nameplate open?" and the answer.
//!
//! Both are as long as an announcement, so an answer is never longer than its question. Nothing in
//! them is secret and nothing is proven: a nameplate is the public word of a code.

use seal::DeviceId;

use super::socket::DATAGRAM;

/// How a question and an answer begin, version included.
const QUESTION: &[u8; 8] = b"warren?\x01";
const ANSWER: &[u8; 8] = b"warren!\x01";

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) nameplate: u16,
    id: [u8; 16],
}

impl Question {
    /// `id` is random: answers to other questions are not believed.
    pub(super) fn new(nameplate: u16, id: [u8; 16]) -> Self {
        Self { nameplate, id }
    }

    pub(super) fn encode(&self) -> [u8; DATAGRAM] {
        pad(&[&QUESTION[..], &self.id, &self.nameplate.to_be_bytes()])
    }

    pub(super) fn decode(datagram: &[u8]) -> Option<Self> {
        let rest = whole(datagram)?.strip_prefix(QUESTION)?;
        let (id, rest) = rest.split_first_chunk()?;
        let (nameplate, _) = rest.split_first_chunk()?;
        Some(Self::new(u16::from_be_bytes(*nameplate), *id))
    }
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) device: DeviceId,
    pub(super) port: u16,
}

impl Answer {
    pub(super) fn encode(&self, question: &Question) -> [u8; DATAGRAM] {
        pad(&[
            &ANSWER[..],
            &question.id,
            self.device.as_bytes(),
            &self.port.to_be_bytes(),
        ])
    }

    /// The answer, if it is one to `question`.
    pub(super) fn decode(datagram: &[u8], question: &Question) -> Option<Self> {
        let rest = whole(datagram)?.strip_prefix(ANSWER)?;
        let rest = rest.strip_prefix(&question.id)?;
        let (device, rest) = rest.split_first_chunk()?;
        let (port, _) = rest.split_first_chunk()?;
        let port = u16::from_be_bytes(*port);
        (port != 0).then_some(Self {
            device: DeviceId::from_bytes(*device),
            port,
        })
    }
}

fn whole(datagram: &[u8]) -> Option<&[u8]> {
    (datagram.len() == DATAGRAM).then_some(datagram)
}

/// The parts one after the other, then zeros.
fn pad(parts: &[&[u8]]) -> [u8; DATAGRAM] {
    let mut datagram = [0; DATAGRAM];
    for (to, from) in datagram.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
    datagram
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer() -> Answer {
        Answer {
            device: DeviceId::from_bytes([7; 32]),
            port: 4000,
        }
    }

    #[test]
    fn an_answer_fits_its_question_only() {
        let question = Question::new(77, [1; 16]);
        let datagram = answer().encode(&question);
        assert_eq!(Answer::decode(&datagram, &question), Some(answer()));
        assert_eq!(Answer::decode(&datagram, &Question::new(77, [2; 16])), None);
        assert_eq!(Question::decode(&datagram), None);
        assert_eq!(Question::decode(&question.encode()), Some(question));
        assert_eq!(Answer::decode(&question.encode(), &question), None);
    }

    #[test]
    fn an_answer_is_never_longer_than_its_question() {
        let question = Question::new(2047, [1; 16]);
        assert!(answer().encode(&question).len() <= question.encode().len());
        assert_eq!(Question::decode(&question.encode()[..64]), None);
    }

    proptest! {
        #[test]
        fn any_datagram_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Question::decode(&bytes);
            let _ = Answer::decode(&bytes, &Question::new(1, [0; 16]));
        }
    }
}
