//! Dates: those of release files, `Sat, 11 Jul 2026 10:16:37 UTC`, and for people.

pub(crate) const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// 10000-01-01 00:00:00 UTC, in seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

/// A date in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    seconds: u64,
}

impl Date {
    /// The date that is `seconds` after 1970-01-01 00:00:00 UTC.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        Self { seconds }
    }

    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub(crate) fn seconds(self) -> u64 {
        self.seconds
    }

    /// Reads a date as RFC 5322 writes it, in UTC, as the Debian repository format
    /// demands.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.split_once(',').map_or(text, |(_weekday, rest)| rest);
        let mut words = text.split_ascii_whitespace();
        let day: u64 = words.next()?.parse().ok()?;
        let month = words.next()?;
        let month = MONTHS.iter().position(|name| *name == month)?;
        let year: u64 = words.next()?.parse().ok()?;
        let mut clock = words.next()?.splitn(3, ':').map(str::parse::<u64>);
        let (hour, minute, second) = (
            clock.next()?.ok()?,
            clock.next()?.ok()?,
            clock.next()?.ok()?,
        );
        let zone = words.next()?;
        let plausible = words.next().is_none()
            && matches!(zone, "UTC" | "GMT" | "Z" | "+0000")
            && (1970..10_000).contains(&year)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !plausible {
            return None;
        }
        let days = days_before(year, month as u64 + 1, day);
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
        // The leap second of the last year with four digits is in one with five.
        (seconds < YEAR_10000).then_some(Self { seconds })
    }

    /// The day alone, as people write it: `2026-07-11`.
    pub(crate) fn day(self) -> String {
        let (year, month, day) = civil(self.seconds / 86_400);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// As archives of snapshots name a moment: `20260711T101637Z`.
    pub(crate) fn snapshot(self) -> String {
        let (year, month, day) = civil(self.seconds / 86_400);
        let clock = self.seconds % 86_400;
        format!(
            "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
            clock / 3600,
            clock / 60 % 60,
            clock % 60
        )
    }

    /// Reads what [`Date::snapshot`] writes.
    pub(crate) fn parse_snapshot(text: &str) -> Option<Self> {
        let shape = text.len() == 16
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return None;
        }
        let part = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let clock = part(9, 11)? * 3600 + part(11, 13)? * 60 + part(13, 15)?;
        Some(Self {
            seconds: days_before(year, month, day) * 86_400 + clock,
        })
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = civil(self.seconds / 86_400);
        let clock = self.seconds % 86_400;
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
            clock / 3600,
            clock / 60 % 60,
            clock % 60
        )
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from
/// March, so that the leap day is a year's last.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    days - 719_469
}

/// The inverse of [`days_before`]: year, month, day.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        for (text, seconds, snapshot) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0, "19700101T000000Z"),
            (
                "Sat, 11 Jul 2026 10:16:37 UTC",
                1_783_764_997,
                "20260711T101637Z",
            ),
            (
                "Tue, 29 Feb 2000 23:59:59 +0000",
                951_868_799,
                "20000229T235959Z",
            ),
            (
                "Wed,  1 Mar 2000 00:00:00 GMT",
                951_868_800,
                "20000301T000000Z",
            ),
        ] {
            let date = Date::parse(text).unwrap();
            assert_eq!(date.seconds(), seconds, "{text}");
            assert_eq!(date.snapshot(), snapshot);
            assert_eq!(Date::parse_snapshot(snapshot), Some(date));
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives() {
        for day in 0..146_097 {
            let date = Date::from_seconds(day * 86_400);
            assert_eq!(Date::parse_snapshot(&date.snapshot()), Some(date));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "yesterday",
            "Sat, 11 Jul 2026 10:16:37 CEST",
            "Sat, 11 Jul 2026 25:16:37 UTC",
            "Sat, 32 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 99999999999999999999 10:16:37 UTC",
            "Fri, 31 Dec 9999 23:59:60 UTC",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(Date::parse_snapshot("20261311T101637Z"), None);
    }
}
