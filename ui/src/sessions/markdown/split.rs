//! Cuts a growing text into blocks that are drawn by themselves, so that only the last one is drawn anew.
//!
//! **Invariant:** prefix-stable: a block that is followed by another never changes, whatever is appended.

/// The pieces of `text`, in order; together they are the whole of it.
pub fn split(text: &str) -> Vec<&str> {
    let mut cutter = Cutter::default();
    let mut cuts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if cutter.begins_a_block(line) {
            cuts.push(at);
        }
        at += line.len();
    }
    let mut blocks = Vec::with_capacity(cuts.len() + 1);
    let mut from = 0;
    for cut in cuts.into_iter().chain([text.len()]) {
        match text.get(from..cut) {
            Some("") | None => {}
            Some(block) => blocks.push(block),
        }
        from = cut;
    }
    blocks
}

#[derive(Default)]
struct Cutter {
    after_blank: bool,
    has_begun: bool,
    /// The block is a list: its items belong together, blank lines between them or not.
    is_list: bool,
    /// Inside a fence of this mark and length.
    fence: Option<(char, usize)>,
}

impl Cutter {
    /// Reads one line and says whether a new block begins with it.
    fn begins_a_block(&mut self, line: &str) -> bool {
        let is_blank = line.trim().is_empty();
        if let Some(open) = self.fence {
            if line.ends_with('\n') && closes(line, open) {
                self.fence = None;
            }
            self.after_blank = false;
            return false;
        }
        if is_blank {
            self.after_blank = true;
            return false;
        }
        let begins = self.after_blank && self.has_begun && self.ends_before(line);
        if begins || !self.has_begun {
            self.is_list = is_item(line);
        }
        self.has_begun = true;
        self.after_blank = false;
        self.fence = opens(line);
        begins
    }

    /// Whether the block ends before this line, which comes after a blank one.
    fn ends_before(&self, line: &str) -> bool {
        let Some(first) = line.chars().next() else {
            return false;
        };
        if first.is_whitespace() {
            return false;
        }
        // Half a line may still become an item of the list.
        let is_whole = line.ends_with('\n');
        let may_be_item = first.is_ascii_digit() || "-*+".contains(first);
        if may_be_item && !is_whole {
            return false;
        }
        !(self.is_list && is_item(line))
    }
}

fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if after_number.len() < line.len() {
        after_number.strip_prefix(['.', ')'])
    } else {
        line.strip_prefix(['-', '*', '+'])
    };
    rest.is_some_and(|rest| rest.starts_with([' ', '\t', '\n', '\r']))
}

fn opens(line: &str) -> Option<(char, usize)> {
    let line = line.trim_start().trim_start_matches(['>', ' ']);
    let mark = line.chars().next().filter(|mark| "`~".contains(*mark))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let info = line.trim_start_matches(mark);
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length))
}

fn closes(line: &str, (mark, length): (char, usize)) -> bool {
    let line = line.trim_start().trim_start_matches(['>', ' ']).trim_end();
    line.chars().count() >= length && line.chars().all(|c| c == mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fence_and_a_list_stay_whole() {
        let text = "Hello.\n\n- one\n\n- two\n\n  more\n\nAfter.\n\n```rust\na\n\nb\n```\n\nEnd.";
        assert_eq!(
            split(text),
            [
                "Hello.\n\n",
                "- one\n\n- two\n\n  more\n\n",
                "After.\n\n",
                "```rust\na\n\nb\n```\n\n",
                "End."
            ]
        );
    }

    #[test]
    fn a_fence_closes_only_with_its_own_mark_and_length() {
        let text = "````\n```\n\n~~~~\n````\n\nAfter.";
        assert_eq!(split(text), ["````\n```\n\n~~~~\n````\n\n", "After."]);
    }

    fn markdown() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "\n",
            "\n\n",
            "```",
            "```rust\n",
            "~~~\n",
            "- ",
            "1",
            ". ",
            "* x\n",
            "  ",
            "> ",
            "word",
            "é",
            "#",
            "|a|\n",
            "\r\n",
            "\t",
            "+",
        ]);
        prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_finished_block_changes(text in markdown()) {
            let whole = split(&text);
            prop_assert_eq!(whole.concat(), text.clone());
            for (end, _) in text.char_indices() {
                let part = split(&text[..end]);
                let finished = part.len().saturating_sub(1);
                prop_assert_eq!(&part[..finished], &whole[..finished], "after {:?}", &text[..end]);
            }
        }
    }
}
