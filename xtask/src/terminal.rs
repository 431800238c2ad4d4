//! What a person sees of xtask: one line for each step, and how long it took.
#![expect(clippy::print_stdout, reason = "a task runner reports to the terminal")]

use std::io::Write as _;
use std::time::{Duration, Instant};

/// A line of its own; builds and tests print between these.
pub fn say(text: &str) {
    println!("» {text}");
    let _ = std::io::stdout().flush();
}

/// A line without a mark, for others to read: addresses, tables.
pub fn print(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}

/// The steps of a long task with their times.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub fn take<T>(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        say(name);
        let begun = Instant::now();
        let outcome = step();
        self.done.push((name.to_owned(), begun.elapsed()));
        if outcome.is_err() {
            self.report();
        }
        outcome
    }

    pub fn report(&self) {
        for (name, time) in &self.done {
            println!("{:>8.1} s  {name}", time.as_secs_f64());
        }
        let _ = std::io::stdout().flush();
    }
}
