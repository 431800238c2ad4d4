//! What a display shows, read from outside while it is drawn: Xvfb keeps it in a file.

use anyhow::{Context as _, ensure};
use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

/// Of the window, where ours has its list and the empty one its lines: some of the pixels from this to that edge.
const LEFT: u64 = 20;
const RIGHT: u64 = 260;
const TOP: u64 = 160;
const FOOT: u64 = 640;
/// Every so many lines. Letters are higher than that.
const STEP: u64 = 6;

/// A bare window has one colour, and an edge a few more; letters have many.
const COLOURS_OF_WORDS: usize = 12;

/// What has not changed for so long is what was to be shown.
const STILL: Duration = Duration::from_millis(800);

/// What was seen at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    seen: u64,
    pub has_words: bool,
}

#[derive(Debug)]
pub struct Picture {
    file: File,
    layout: Layout,
    buffer: Vec<u8>,
}

impl Picture {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut head = [0; Layout::HEAD];
        file.read_exact_at(&mut head, 0).context("reading its head")?;
        Ok(Self {
            file,
            layout: Layout::read(&head)?,
            buffer: vec![0; usize::try_from((RIGHT - LEFT) * Layout::PIXEL)?],
        })
    }

    pub fn look(&mut self) -> anyhow::Result<Look> {
        let mut hash = DefaultHasher::new();
        let mut colours = HashSet::new();
        let mut line = TOP;
        while line < FOOT {
            self.file
                .read_exact_at(&mut self.buffer, self.layout.place(line, LEFT))?;
            hash.write(&self.buffer);
            if colours.len() < COLOURS_OF_WORDS {
                let (pixels, _) = self.buffer.as_chunks::<4>();
                colours.extend(pixels.iter().copied());
            }
            line += STEP;
        }
        Ok(Look {
            seen: hash.finish(),
            has_words: colours.len() >= COLOURS_OF_WORDS,
        })
    }
}

/// Where the pixels are in a file as `xwd` writes it.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    start: u64,
    line: u64,
}

impl Layout {
    /// 25 numbers of four bytes, the highest first.
    const HEAD: usize = 100;
    /// Four bytes.
    const PIXEL: u64 = 4;

    fn read(head: &[u8; Self::HEAD]) -> anyhow::Result<Self> {
        let (numbers, _) = head.as_chunks::<4>();
        let number = |place: usize| -> anyhow::Result<u64> {
            let bytes = numbers.get(place).context("a head that is too short")?;
            Ok(u64::from(u32::from_be_bytes(*bytes)))
        };
        let (head_bytes, bits, line, colours) = (number(0)?, number(11)?, number(12)?, number(19)?);
        ensure!(bits == Self::PIXEL * 8, "a display of {bits} bits");
        ensure!(
            number(4)? >= RIGHT && number(5)? >= FOOT,
            "the display is too small"
        );
        Ok(Self {
            // each colour of the table has twelve bytes
            start: head_bytes + colours * 12,
            line,
        })
    }

    fn place(&self, line: u64, column: u64) -> u64 {
        self.start + line * self.line + column * Self::PIXEL
    }
}

/// Tells from looks when that was painted which then stood still.
#[derive(Debug, Default)]
pub struct Watch {
    since: Option<(Duration, Look)>,
}

impl Watch {
    pub fn see(&mut self, at: Duration, look: Look) -> Option<Duration> {
        match self.since {
            Some((since, seen)) if seen == look => {
                (look.has_words && at.saturating_sub(since) >= STILL).then_some(since)
            }
            _ => {
                self.since = Some((at, look));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(numbers: [(usize, u32); 6]) -> [u8; Layout::HEAD] {
        let mut head = [0; Layout::HEAD];
        let (places, _) = head.as_chunks_mut::<4>();
        for (place, number) in numbers {
            places[place] = number.to_be_bytes();
        }
        head
    }

    #[test]
    fn the_pixels_begin_after_head_and_colours() {
        let display = [(0, 160), (4, 1280), (5, 900), (11, 32), (12, 5120), (19, 256)];
        let layout = Layout::read(&head(display)).unwrap();
        assert_eq!(layout.place(0, 0), 160 + 256 * 12);
        assert_eq!(layout.place(2, 3), 160 + 256 * 12 + 2 * 5120 + 12);
        let mut small = display;
        small[2] = (5, 200);
        assert!(Layout::read(&head(small)).is_err());
        let mut flat = display;
        flat[3] = (11, 8);
        assert!(Layout::read(&head(flat)).is_err());
    }

    #[test]
    fn painted_is_what_stands_still_and_has_words() {
        let look = |seen, has_words| Look { seen, has_words };
        let millis = Duration::from_millis;
        let mut watch = Watch::default();
        let told: Vec<_> = [
            (0, look(1, false)),
            (900, look(1, false)),
            (950, look(2, true)),
            (1_000, look(3, true)),
            (1_700, look(3, true)),
            (1_800, look(3, true)),
        ]
        .map(|(at, look)| watch.see(millis(at), look))
        .to_vec();
        assert_eq!(told, [None, None, None, None, None, Some(millis(1_000))]);
    }
}
