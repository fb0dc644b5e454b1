//! Times and durations on the command line.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Parses a duration such as `90m`, `24h` or `7d`.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 90m, 24h or 7d".to_owned();
    let (number, unit) =
        text.char_indices().next_back().map(|(at, _)| text.split_at(at)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(u64::from(number.parse::<u32>().map_err(|_| wrong())?) * seconds))
}

/// Parses a time, or a duration before now.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || "expected 90m, 24h, 7d or a time such as 2026-11-03T12:00:00Z".to_owned();
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = SignedDuration::try_from(span(text).map_err(|_| wrong())?).map_err(|_| wrong())?;
    Timestamp::now().checked_sub(ago).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_or_so_long_ago() {
        let exact = moment("2026-11-03T12:00:00Z").unwrap();
        assert_eq!(exact.to_string(), "2026-11-03T12:00:00Z");
        let distance = Timestamp::now().as_second() - moment("2d").unwrap().as_second();
        assert!((172_800..=172_801).contains(&distance), "{distance}");
        for text in ["", "h", "24", "-1h", "1w", "1é"] {
            assert!(moment(text).is_err() && span(text).is_err(), "{text}");
        }
    }
}
