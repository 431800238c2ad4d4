//! From the start of the program to words on the display, seen from outside, in turns with the empty app.

use super::figures::{Figure, millis, spread};
use super::picture::{Picture, Watch};
use anyhow::ensure;
use harness::{Seat, until};
use std::time::{Duration, Instant};

/// Each app's, after one that is not counted: the first reads everything from the disk.
const STARTS: usize = 15;
/// Between two looks at the display.
const PACE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(20);

/// In milliseconds.
const GOAL: f64 = 400.0;
const MORE_THAN_EMPTY: f64 = 150.0;

pub async fn measure(ours: &Seat, empty: &Seat) -> anyhow::Result<Vec<Figure>> {
    let (mut took, mut took_empty) = (Vec::new(), Vec::new());
    start(ours).await?;
    start(empty).await?;
    for _ in 0..STARTS {
        took.push(start(ours).await?);
        took_empty.push(start(empty).await?);
    }
    let (middle, worst) = spread(took, 1.0);
    let (empty_middle, empty_worst) = spread(took_empty, 1.0);
    let list = |what, time| Figure::time(what, time);
    let mut figures = vec![
        list("start to the painted list, server away, p50", middle)
            .beside(millis(empty_middle))
            .at_most(GOAL),
        list("the same, beside the empty app's first paint, p50", middle)
            .beside(millis(empty_middle))
            .at_most(millis(empty_middle) + MORE_THAN_EMPTY),
        list("the same, worst", worst).beside(millis(empty_worst)),
    ];
    figures.extend(by_its_own_log(&ours.log()));
    Ok(figures)
}

/// One start, and what is left of it taken away.
async fn start(seat: &Seat) -> anyhow::Result<Duration> {
    let mut picture = Picture::open(&seat.picture_file())?;
    gone(seat, &mut picture).await;
    let mut watch = Watch::default();
    let begun = Instant::now();
    seat.start(&[]);
    let painted = loop {
        tokio::time::sleep(PACE).await;
        let at = begun.elapsed();
        if let Some(painted) = watch.see(at, picture.look()?) {
            break painted;
        }
        ensure!(
            at < PATIENCE,
            "nothing was painted in {PATIENCE:?}: {}",
            seat.log()
        );
    };
    seat.end_app();
    gone(seat, &mut picture).await;
    Ok(painted)
}

/// Waits until nothing of the app runs, and nothing is on the display.
async fn gone(seat: &Seat, picture: &mut Picture) {
    until("the app to be gone", async || {
        let is_gone = seat.app_processes().is_empty() && !picture.look().ok()?.has_words;
        is_gone.then_some(())
    })
    .await;
}

/// What the app says itself, of all its starts at this seat without a driver.
fn by_its_own_log(log: &str) -> Option<Figure> {
    let starts = STARTS + 1;
    let told: Vec<_> = log.lines().filter_map(drawn).collect();
    let counted = told.get(told.len().saturating_sub(starts)..)?.to_vec();
    let (middle, _) = spread(counted, 1.0);
    Some(Figure::time("the same by its own log, p50", middle))
}

/// Of a line that says it: after how long the page was drawn.
fn drawn(line: &str) -> Option<Duration> {
    let (_, after) = line.split_once("the page is drawn after=")?;
    let number = after.split_whitespace().next()?;
    let seconds = match number.strip_suffix("ms") {
        Some(millis) => millis.parse::<f64>().ok()? / 1000.0,
        None => number.strip_suffix('s')?.parse().ok()?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_when_the_page_was_drawn() {
        let told = |after| {
            drawn(&format!(
                "2026-11-27T10:00:00Z  INFO desktop: the page is drawn after={after}"
            ))
        };
        assert_eq!(told("412.5ms"), Some(Duration::from_micros(412_500)));
        assert_eq!(told("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(told("soon"), None);
        assert_eq!(drawn("2026-11-27T10:00:00Z  INFO desktop: the app starts"), None);
    }
}
