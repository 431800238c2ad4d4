//! Times as people say them. Text depends on the two numbers alone, so that server and browser say the same.

use protocol::UnixMillis;
use yew::prelude::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

pub fn when(at: UnixMillis, now: UnixMillis) -> Html {
    let stamp = stamp(at);
    html! { <time datetime={stamp.clone()} title={stamp}>{ relative(at, now) }</time> }
}

pub fn relative(at: UnixMillis, now: UnixMillis) -> String {
    match now.saturating_sub(at) {
        ..45_000 => "just now".to_owned(),
        ago if ago < HOUR => format!("{} min ago", (ago / MINUTE).max(1)),
        ago if ago < DAY => format!("{} h ago", ago / HOUR),
        ago if ago < 2 * DAY => "yesterday".to_owned(),
        ago if ago < 7 * DAY => format!("{} days ago", ago / DAY),
        _ => {
            let (year, month, day) = civil(at);
            let this_year = civil(now).0;
            if year == this_year {
                format!("{day} {month}")
            } else {
                format!("{day} {month} {year}")
            }
        }
    }
}

/// Hours and minutes by this computer's clock: only where script runs.
pub fn clock(at: UnixMillis) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this era are far below 2^53"
    )]
    let date = js_sys::Date::new(&(at as f64).into());
    format!("{:02}:{:02}", date.get_hours(), date.get_minutes())
}

/// For `<time datetime>`: UTC, to the second.
fn stamp(at: UnixMillis) -> String {
    let (days, rest) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let (year, month, day) = numbers(days);
    let (hour, minute, second) = (rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn civil(at: UnixMillis) -> (i64, &'static str, i64) {
    let (year, month, day) = numbers(at.div_euclid(DAY));
    let name = usize::try_from(month - 1)
        .ok()
        .and_then(|index| MONTHS.get(index));
    (year, name.copied().unwrap_or_default(), day)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn numbers(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29T12:34:56Z, by another clock.
    const LEAP: UnixMillis = 1_709_210_096_000;

    #[test]
    fn a_stamp_is_right_on_a_leap_day_and_at_the_epoch() {
        assert_eq!(stamp(LEAP), "2024-02-29T12:34:56Z");
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(-1000), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(relative(LEAP, LEAP - 5000), "just now", "a clock that is ahead");
        assert_eq!(relative(LEAP, LEAP + 50_000), "1 min ago");
        assert_eq!(relative(LEAP, LEAP + 3 * HOUR), "3 h ago");
        assert_eq!(relative(LEAP, LEAP + 30 * HOUR), "yesterday");
        assert_eq!(relative(LEAP, LEAP + 9 * DAY), "29 Feb");
        assert_eq!(relative(LEAP, LEAP + 400 * DAY), "29 Feb 2024");
    }
}
