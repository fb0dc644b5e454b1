//! Compact formats of numbers and times.

/// `999`, `1.2k`, `12k`, `1.2M`.
pub fn compact(number: u64) -> String {
    const UNITS: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    if number < 1_000 {
        return number.to_string();
    }
    let mut divisor = 1_000;
    for unit in UNITS {
        // Tenths are rounded down, so that 999,999 is not shown as 1.0M.
        let tenths = number / (divisor / 10);
        if tenths < 100 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        if tenths < 10_000 {
            return format!("{}{unit}", tenths / 10);
        }
        divisor = divisor.saturating_mul(1_000);
    }
    number.to_string()
}

/// `1 row`, `2 rows`, `5.0k rows`.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {noun}{}", compact(number), if number == 1 { "" } else { "s" })
}

/// `812ms`, `2.1s`, `43s`, `2m05s`.
pub fn milliseconds(time: f64) -> String {
    if time < 999.5 {
        format!("{time:.0}ms")
    } else if time < 9_950.0 {
        format!("{:.1}s", time / 1_000.0)
    } else {
        seconds(whole(time / 1_000.0))
    }
}

/// `42s`, `3m10s`, `5h12m`, `3d04h`.
pub fn seconds(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `42s`, `3m`, `5h`, `3d`.
pub fn coarse(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `0%`, `0.4%`, `12%`; a ratio above zero is never shown as `0%`.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent > 0.0 && percent < 0.05 {
        "<0.1%".to_owned()
    } else if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0}%")
    } else {
        format!("{percent:.1}%")
    }
}

/// Returns a ratio; zero if the total is zero.
#[allow(clippy::cast_precision_loss, reason = "a few digits are shown")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[allow(clippy::cast_possible_truncation, reason = "a float's cast saturates, and a time so long is none")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_too_large() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0k"),
            (9_999, "9.9k"),
            (10_000, "10k"),
            (999_999, "999k"),
            (1_000_000, "1.0M"),
            (12_345_678_901, "12G"),
            (u64::MAX, "18E"),
        ] {
            assert_eq!(compact(number), text);
        }
        assert_eq!((counted(1, "key"), counted(0, "key")), ("1 key".to_owned(), "0 keys".to_owned()));
    }

    #[test]
    fn times_are_short() {
        for (time, text) in
            [(0.4, "0ms"), (999.4, "999ms"), (999.6, "1.0s"), (9_940.0, "9.9s"), (43_000.0, "43s")]
        {
            assert_eq!(milliseconds(time), text);
        }
        for (time, text) in [(-3, "0s"), (59, "59s"), (61, "1m01s"), (3_600, "1h00m"), (100_000, "1d03h")] {
            assert_eq!(seconds(time), text);
        }
    }

    #[test]
    fn little_is_not_nothing() {
        for (part, whole, text) in
            [(0, 0, "0%"), (0, 9, "0%"), (1, 9_999, "<0.1%"), (1, 200, "0.5%"), (1, 3, "33%"), (5, 5, "100%")]
        {
            assert_eq!(percent(ratio(part, whole)), text);
        }
    }
}
