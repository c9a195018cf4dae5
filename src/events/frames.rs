//! One text as the frames that carry it.

use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

/// The frames of a text, none with more than `most` bytes of it. A frame may end within a character: only the whole
/// message has to be UTF-8.
pub(super) fn frames(text: Utf8Bytes, most: usize) -> impl Iterator<Item = Message> {
    let (most, mut rest, mut first) = (most.max(1), Some(Bytes::from(text)), true);
    std::iter::from_fn(move || {
        let mut piece = rest.take()?;
        if piece.len() > most {
            rest = Some(piece.split_off(most));
        }
        let kind = if std::mem::take(&mut first) { Data::Text } else { Data::Continue };
        Some(Message::Frame(Frame::message(piece, OpCode::Data(kind), rest.is_none())))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_pieces_are_the_whole_and_only_the_last_says_so(text in ".{0,200}", most in 0_usize..60) {
            let mut whole = Vec::new();
            let pieces: Vec<Message> = frames(text.as_str().into(), most).collect();
            prop_assert!(!pieces.is_empty());
            for (index, piece) in pieces.iter().enumerate() {
                let Message::Frame(frame) = piece else { panic!("{piece:?} is not a frame") };
                prop_assert!(frame.payload().len() <= most.max(1));
                prop_assert_eq!(frame.header().is_final, index + 1 == pieces.len());
                let kind = if index == 0 { Data::Text } else { Data::Continue };
                prop_assert_eq!(frame.header().opcode, OpCode::Data(kind));
                whole.extend_from_slice(frame.payload());
            }
            prop_assert_eq!(whole, text.into_bytes());
        }
    }
}
