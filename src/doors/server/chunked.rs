//! The strict look at a chunked body: finds its end, and refuses what parsers read differently.

use super::refusal::Refusal;

/// Longest chunk size, in hexadecimal digits: 4 GiB, above any body limit.
const LONGEST_SIZE: u32 = 8;
/// Longest trailer section, in bytes. Nothing here reads trailers.
const LONGEST_TRAILER: usize = 1024;

/// Where in a chunked body the last byte stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    /// Size of the current chunk, or what is left of it.
    size: u64,
    /// Digits of the size, or bytes of trailers, so far.
    count: usize,
    /// Data bytes so far.
    total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// At the start of a trailer line, or of the empty line that ends all.
    TrailerStart,
    Trailer,
    TrailerEnd,
    /// After the carriage return of the empty line.
    LastEnd,
    Over,
}

impl Chunks {
    /// Before the first byte.
    pub(super) const fn new() -> Self {
        Self { place: Place::Size, size: 0, count: 0, total: 0 }
    }

    /// Whether the body is complete.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Takes as much of `input` as belongs to the body, of which at most `most` bytes may be data; says how much.
    pub(super) fn advance(&mut self, input: &[u8], most: u64) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() && self.place != Place::Over {
            if self.place == Place::Data {
                let step = usize::try_from(self.size).unwrap_or(usize::MAX).min(input.len() - at);
                at += step;
                self.size -= step as u64;
                if self.size == 0 {
                    self.place = Place::DataReturn;
                }
            } else {
                self.step(input[at], most)?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8, most: u64) -> Result<(), Refusal> {
        self.place = match (self.place, byte) {
            (Place::Size, b'\r') if self.count > 0 => Place::SizeEnd,
            (Place::Size, _) => {
                let digit = char::from(byte)
                    .to_digit(16)
                    .ok_or(Refusal::Malformed("a chunk size that is no number"))?;
                self.count += 1;
                if self.count > LONGEST_SIZE as usize {
                    return Err(Refusal::Malformed("a chunk size of too many digits"));
                }
                self.size = self.size * 16 + u64::from(digit);
                Place::Size
            }
            (Place::SizeEnd, b'\n') => {
                self.count = 0;
                self.total += self.size;
                if self.total > most {
                    return Err(Refusal::Body);
                }
                if self.size == 0 { Place::TrailerStart } else { Place::Data }
            }
            (Place::DataReturn, b'\r') => Place::DataEnd,
            (Place::DataEnd, b'\n') => Place::Size,
            (Place::TrailerStart, b'\r') => Place::LastEnd,
            (Place::TrailerStart | Place::Trailer, b'\n') => {
                return Err(Refusal::Malformed("a line feed without a carriage return"));
            }
            (Place::Trailer, b'\r') => Place::TrailerEnd,
            (Place::TrailerStart | Place::Trailer, _) => Place::Trailer,
            (Place::TrailerEnd, b'\n') => Place::TrailerStart,
            (Place::LastEnd, b'\n') => Place::Over,
            _ => return Err(Refusal::Malformed("a chunk that does not end where it should")),
        };
        if matches!(self.place, Place::Trailer | Place::TrailerEnd) {
            self.count += 1;
            if self.count > LONGEST_TRAILER {
                return Err(Refusal::Head("trailers"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: u64 = 1000;

    /// What is left after the body, if it is complete.
    fn read(body: &str) -> Result<Option<&str>, Refusal> {
        let mut chunks = Chunks::new();
        let taken = chunks.advance(body.as_bytes(), MOST)?;
        Ok(chunks.is_over().then(|| &body[taken..]))
    }

    #[test]
    fn bodies_end_where_they_should() {
        assert_eq!(read("0\r\n\r\nGET"), Ok(Some("GET")));
        assert_eq!(read("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), Ok(Some("")));
        assert_eq!(read("0\r\nX: y\r\nZ: w\r\n\r\nrest"), Ok(Some("rest")));
        assert_eq!(read("3\r\nabc\r\n"), Ok(None));
        assert_eq!(read("3e8\r\n"), Ok(None));
    }

    #[test]
    fn odd_chunks_are_refused() {
        for body in [
            "\r\n",
            "3;x=y\r\nabc",
            " 3\r\n",
            "3 \r\n",
            "0x3\r\n",
            "-1\r\n",
            "3\nabc",
            "3\r\nabcd",
            "3\r\nabc\n",
            "0\r\n\n",
            "0\r\nX: y\n",
            "FFFFFFFFFFFFFFFF\r\n",
            "000000001\r\n",
        ] {
            assert!(matches!(read(body), Err(Refusal::Malformed(_))), "{body:?}");
        }
        assert_eq!(read("3e9\r\n"), Err(Refusal::Body));
        assert_eq!(read(&format!("0\r\n{}", "X: y\r\n".repeat(300))), Err(Refusal::Head("trailers")));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(body in "[0-3a\r\n;\u{e9}\u{1f600}\0]{0,40}", cut in 0..40_usize) {
            let whole = { let mut chunks = Chunks::new(); chunks.advance(body.as_bytes(), MOST).map(|taken| (taken, chunks)) };
            let cut = cut.min(body.len());
            let mut chunks = Chunks::new();
            let halves = chunks.advance(&body.as_bytes()[..cut], MOST).and_then(|first| {
                if first < cut { return Ok((first, chunks)); }
                chunks.advance(&body.as_bytes()[cut..], MOST).map(|second| (first + second, chunks))
            });
            prop_assert_eq!(halves, whole);
        }
    }
}
