//! Finding the time of a build in the bytes that it made.
//!
//! When each build ran is known to the second, so that a number or a date counts only
//! if a clock said just that while the build ran: chance hits are rarer than one in
//! ten thousand.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Conditions;
use crate::source::deb::date::{Date, MONTHS};

/// When something was built, in seconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub begin: u64,
    /// When it ended.
    pub end: u64,
}

/// Seconds since 1970-01-01 00:00:00 UTC; 0 on a machine whose clock is before that.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What clocks may have said while something was built.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// The clock of the machine, by which files are dated, and the one that commands
    /// read.
    spans: [Span; 2],
}

/// Time zones of rounds, in seconds ahead of UTC.
const ZONES: [i64; 3] = [0, 14 * 3600, -12 * 3600];
const DAY: u64 = 86_400;

impl Clock {
    /// The clocks of a build in `span` under `conditions`.
    pub(super) fn new(span: Span, conditions: &Conditions) -> Self {
        let ahead = conditions.surroundings.clock_ahead.as_secs();
        // A second more on both sides: clocks are read before and after, and rounded.
        let near = Span {
            begin: span.begin.saturating_sub(1),
            end: span.end.saturating_add(1),
        };
        let shifted = Span {
            begin: near.begin.saturating_add(ahead),
            end: near.end.saturating_add(ahead),
        };
        Self {
            spans: [near, shifted],
        }
    }

    fn said(&self, seconds: u64) -> bool {
        let mut spans = self.spans.iter();
        spans.any(|span| (span.begin..=span.end).contains(&seconds))
    }

    /// Whether it was that time of day in one of the zones.
    fn said_time(&self, of_day: u64) -> bool {
        ZONES.iter().any(|zone| {
            self.spans.iter().any(|span| {
                let begin = span.begin.saturating_add_signed(*zone);
                let after = (of_day + DAY - begin % DAY) % DAY;
                after <= span.end - span.begin
            })
        })
    }

    /// The days that it was, anywhere.
    fn days(&self) -> impl Iterator<Item = Date> {
        let days = self.spans.iter().flat_map(|span| {
            let (first, last) = (span.begin / DAY, span.end / DAY);
            // A build takes hours at most; a span of years is a clock that jumped.
            first.saturating_sub(1)..=last.saturating_add(1).min(first.saturating_add(3))
        });
        days.map(|day| Date::from_seconds(day * DAY))
    }
}

/// A time that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    /// How it is written.
    pub(super) form: &'static str,
    /// What is there, as a person reads it.
    pub(super) text: String,
}

/// Looks in `bytes` for a time that `clock` said and that does not end before `near`.
pub(super) fn find(bytes: &[u8], near: usize, clock: &Clock) -> Option<Sighting> {
    digits(bytes, near, clock)
        .or_else(|| date(bytes, near, clock))
        .or_else(|| time_of_day(bytes, near, clock))
        .or_else(|| binary(bytes, near, clock))
}

/// Numbers written out.
fn digits(bytes: &[u8], near: usize, clock: &Clock) -> Option<Sighting> {
    let decimal = runs(bytes, near, |byte| byte.is_ascii_digit());
    for run in decimal {
        for (length, unit, form) in [
            (9..=10, 1, "seconds since 1970"),
            (13..=13, 1_000, "milliseconds since 1970"),
            (16..=16, 1_000_000, "microseconds since 1970"),
            (19..=19, 1_000_000_000, "nanoseconds since 1970"),
        ] {
            if length.contains(&run.len())
                && let Ok(number) = run.parse::<u64>()
                && clock.said(number / unit)
            {
                let text = run.to_owned();
                return Some(Sighting { form, text });
            }
        }
        if matches!(run.len(), 11 | 12)
            && let Ok(number) = u64::from_str_radix(run, 8)
            && clock.said(number)
        {
            return Some(Sighting {
                form: "seconds since 1970, in octal digits",
                text: run.to_owned(),
            });
        }
    }
    for run in runs(bytes, near, |byte| byte.is_ascii_hexdigit()) {
        for at in 0..run.len().saturating_sub(7) {
            let part = run.get(at..at + 8)?;
            if let Ok(number) = u64::from_str_radix(part, 16)
                && clock.said(number)
            {
                return Some(Sighting {
                    form: "seconds since 1970, in hexadecimal digits",
                    text: part.to_owned(),
                });
            }
        }
    }
    None
}

/// All runs of bytes that are `wanted`, which must be ASCII, if they do not end before
/// `near`.
fn runs(bytes: &[u8], near: usize, wanted: fn(&u8) -> bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut end = 0;
    for run in bytes.split(|byte| !wanted(byte)) {
        end += run.len();
        if end > near
            && !run.is_empty()
            && let Ok(run) = std::str::from_utf8(run)
        {
            found.push(run);
        }
        end += 1;
    }
    found
}

/// Dates with day, month and year.
fn date(bytes: &[u8], near: usize, clock: &Clock) -> Option<Sighting> {
    for day in clock.days() {
        let iso = day.day();
        let mut parts = iso.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        let short = day.trim_start_matches('0');
        for text in [
            iso.clone(),
            format!("{year}{month}{day}"),
            format!("{year}/{month}/{day}"),
            format!("{day}/{month}/{year}"),
            format!("{month}/{day}/{year}"),
            format!("{name} {short:>2} {year}"),
            format!("{name} {day} {year}"),
            format!("{day} {name} {year}"),
            format!("{short} {name} {year}"),
            format!("{day}-{name}-{year}"),
        ] {
            if stands(bytes, near, &text) {
                return Some(Sighting { form: "date", text });
            }
        }
        // As date(1) writes it, with the time and the zone before the year.
        let text = format!("{name} {short:>2} ");
        let years = [format!(" {year}"), format!("{year} ")];
        if stands(bytes, 0, &text) && years.iter().any(|year| stands(bytes, near, year)) {
            let text = format!("{text}… {year}");
            return Some(Sighting { form: "date", text });
        }
    }
    None
}

fn stands(bytes: &[u8], near: usize, text: &str) -> bool {
    let mut windows = bytes.windows(text.len()).enumerate();
    windows.any(|(at, window)| at + text.len() > near && window == text.as_bytes())
}

/// `HH:MM:SS`.
fn time_of_day(bytes: &[u8], near: usize, clock: &Clock) -> Option<Sighting> {
    let number = |pair: &[u8]| -> Option<u64> { std::str::from_utf8(pair).ok()?.parse().ok() };
    let windows = bytes.windows(8).enumerate().filter(|(at, window)| {
        let shape = window.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            _ => byte.is_ascii_digit(),
        });
        shape && at + 8 > near
    });
    for (_, window) in windows {
        let [h1, h2, _, m1, m2, _, s1, s2] = window else {
            continue;
        };
        let (hours, minutes, seconds) = (
            number(&[*h1, *h2])?,
            number(&[*m1, *m2])?,
            number(&[*s1, *s2])?,
        );
        if hours < 24 && clock.said_time(hours * 3600 + minutes * 60 + seconds) {
            return Some(Sighting {
                form: "time of day",
                text: String::from_utf8_lossy(window).into_owned(),
            });
        }
    }
    None
}

/// Numbers of four bytes, which those of eight begin or end with.
fn binary(bytes: &[u8], near: usize, clock: &Clock) -> Option<Sighting> {
    for (at, window) in bytes.windows(4).enumerate() {
        let Ok(four) = <[u8; 4]>::try_from(window) else {
            continue;
        };
        if at + 4 <= near {
            continue;
        }
        let (little, big) = (u32::from_le_bytes(four), u32::from_be_bytes(four));
        for (number, form) in [
            (
                little,
                "seconds since 1970, in binary, least significant byte first",
            ),
            (
                big,
                "seconds since 1970, in binary, most significant byte first",
            ),
        ] {
            if clock.said(number.into()) {
                let text = number.to_string();
                return Some(Sighting { form, text });
            }
        }
        if let Some(text) = dos(little).filter(|seconds| said_dos(clock, *seconds)) {
            return Some(Sighting {
                form: "date and time as in zip files",
                text: Date::from_seconds(text).to_string(),
            });
        }
    }
    None
}

/// The local time that DOS's date (high half) and time (low half) stand for.
fn dos(value: u32) -> Option<u64> {
    let (date, time) = (u64::from(value >> 16), u64::from(value & 0xffff));
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
    let text = format!("{year:04}{month:02}{day:02}T000000Z");
    let midnight = Date::parse_snapshot(&text)?.seconds();
    let of_day = (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2;
    Some(midnight + of_day)
}

/// Counted in steps of two seconds, in any of the zones.
fn said_dos(clock: &Clock, local: u64) -> bool {
    ZONES.iter().any(|zone| {
        let utc = local.saturating_add_signed(-zone);
        clock.said(utc) || clock.said(utc + 1)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2026-11-22 09:04:17 UTC.
    const THEN: u64 = 1_795_338_257;

    fn clock(ahead: u64) -> Clock {
        let mut conditions = Conditions::base();
        conditions.surroundings.clock_ahead = Duration::from_secs(ahead);
        let (begin, end) = (THEN - 20, THEN + 20);
        Clock::new(Span { begin, end }, &conditions)
    }

    fn found(bytes: &[u8], near: usize) -> Option<String> {
        find(bytes, near, &clock(0)).map(|seen| format!("{}: {}", seen.form, seen.text))
    }

    #[test]
    fn it_is_found_however_it_is_written() {
        assert_eq!(
            Date::from_seconds(THEN).to_string(),
            "2026-11-22 09:04:17 UTC"
        );
        for (bytes, expected) in [
            (&b"built 1795338257\n"[..], "seconds since 1970: 1795338257"),
            (b"at 1795338257.25", "seconds since 1970: 1795338257"),
            (
                b"\"1795338257999\"",
                "milliseconds since 1970: 1795338257999",
            ),
            (
                b"1795338257000000001",
                "nanoseconds since 1970: 1795338257000000001",
            ),
            (
                b"644\x0015300530021\0",
                "seconds since 1970, in octal digits: 15300530021",
            ),
            (
                b"000081A4\x36B02B0110000",
                "seconds since 1970, in hexadecimal digits: 6B02B011",
            ),
            (
                b"\x1f\x8b\x08\0\x11\xb0\x02\x6b",
                "seconds since 1970, in binary, least significant byte first: 1795338257",
            ),
            (
                b"\x6b\x02\xb0\x11",
                "seconds since 1970, in binary, most significant byte first: 1795338257",
            ),
            (b"Nov 22 2026 09:04:17", "date: Nov 22 2026"),
            (b"Sun Nov 22 23:04:17 +14 2026", "date: Nov 22 … 2026"),
            (b"on 2026-11-22", "date: 2026-11-22"),
            (b"v20261122", "date: 20261122"),
            (b"just 23:04:17 here", "time of day: 23:04:17"),
            (
                b"PK\x03\x04\x14\0\0\0\0\0\x88\x48\x76\x5d",
                "date and time as in zip files: 2026-11-22 09:04:16 UTC",
            ),
        ] {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(found(bytes, 0).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_times_are_not() {
        for text in [
            "1795338357",
            "2026-11-25",
            "Nov 12 2026",
            "09:14:17",
            "99:99:99",
            "17953382570",
            "",
            "6B02B01",
        ] {
            assert_eq!(found(text.as_bytes(), 0), None, "{text}");
        }
        assert_eq!(found(&[0xff; 256], 0), None);
    }

    #[test]
    fn what_ends_before_the_difference_does_not_count() {
        assert!(found(b"1795338257 ", 9).is_some());
        assert!(found(b"1795338257 ", 10).is_none());
    }

    #[test]
    fn a_clock_that_is_ahead_says_two_times() {
        let clock = clock(1_000_000);
        let ahead = (THEN + 1_000_000).to_string();
        for text in [ahead.as_str(), "1795338257"] {
            assert!(find(text.as_bytes(), 0, &clock).is_some(), "{text}");
        }
        assert!(find(b"1795838257", 0, &clock).is_none());
    }
}
