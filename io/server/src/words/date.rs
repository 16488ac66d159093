//! Dates as Java prints them.

use std::fmt;

use zabra_proto::WallMillis;

/// A wall time in the form of Java's `Date`: `Fri Jul 17 10:00:00 UTC 2026`. Always in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JavaDate(pub WallMillis);

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY_SECONDS: i64 = 86_400;

impl fmt::Display for JavaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.0.div_euclid(1000);
        let (days, second) = (
            seconds.div_euclid(DAY_SECONDS),
            seconds.rem_euclid(DAY_SECONDS),
        );
        let (year, month, day) = civil(days);
        let weekday = DAYS[days.rem_euclid(7) as usize];
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let month = MONTHS[month as usize];
        write!(
            f,
            "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}"
        )
    }
}

/// Year, month from 0 and day from 1 of a day counted from 1970-01-01. Years are counted from March, so that the leap
/// day is the last of its year, in eras of 400 years (146,097 days).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 2, 0)
    } else {
        (month - 10, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64) -> String {
        JavaDate(WallMillis(seconds * 1000)).to_string()
    }

    #[test]
    fn dates_are_javas() {
        assert_eq!(text(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(text(1_784_282_400), "Fri Jul 17 10:00:00 UTC 2026");
        assert_eq!(text(951_782_399), "Mon Feb 28 23:59:59 UTC 2000");
        assert_eq!(text(951_782_400), "Tue Feb 29 00:00:00 UTC 2000");
        assert_eq!(text(4_107_542_400), "Mon Mar 01 00:00:00 UTC 2100");
        assert_eq!(text(-1), "Wed Dec 31 23:59:59 UTC 1969");
    }
}
