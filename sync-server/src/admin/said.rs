//! A command's answer: words for people and the same for machines.

use serde_json::Value;
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Debug)]
pub struct Said {
    text: String,
    json: Value,
    is_well: bool,
}

impl Said {
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            is_well: true,
        }
    }

    /// Columns under a heading each.
    pub fn table(heads: &[&str], rows: Vec<Vec<String>>, json: Value) -> Self {
        Self::new(columns(heads, &rows), json)
    }

    /// The program ends as one that found something wrong.
    #[must_use]
    pub fn unwell_if(mut self, is_wrong: bool) -> Self {
        self.is_well = !is_wrong;
        self
    }

    /// A line under what is said.
    #[must_use]
    pub fn and(mut self, line: &str) -> Self {
        self.text.push('\n');
        self.text.push_str(line);
        self
    }

    pub fn text(&self) -> String {
        self.text.clone()
    }

    pub fn json(&self) -> String {
        self.json.to_string()
    }

    pub const fn is_well(&self) -> bool {
        self.is_well
    }
}

fn columns(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or_default();
        widest.max(heads.get(column).map_or(0, |head| head.len()))
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    let lines = std::iter::once(line(heads.to_vec())).chain(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.collect::<Vec<_>>().join("\n")
}

/// To the second, as RFC 3339 has it.
pub fn when(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0)
        .unwrap_or(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// "1 device", "2 devices".
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let rows = vec![
            vec!["ana@example.org".to_owned(), "in".to_owned()],
            vec!["bo@example.org".to_owned(), String::new()],
        ];
        assert_eq!(
            columns(&["WHO", "STATE"], &rows),
            "WHO              STATE\nana@example.org  in\nbo@example.org"
        );
    }

    #[test]
    fn one_is_one_and_more_are_many() {
        assert_eq!(counted(1, "device"), "1 device");
        assert_eq!(counted(0, "device"), "0 devices");
    }
}
