//! Times as Java prints them, in UTC.

/// A moment of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: i64,
    month: u8,
    day: u8,
    weekday: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

impl Date {
    pub(super) fn from_millis(millis: i64) -> Self {
        let seconds = millis.div_euclid(1000);
        let days = seconds.div_euclid(86_400);
        let second_of_day = seconds.rem_euclid(86_400);
        // Years begin with March here, so that the leap day is the last day of one. An era is 400 years.
        let day = days + 719_468;
        let era = day.div_euclid(146_097);
        let day_of_era = day.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8,
            weekday: days.rem_euclid(7) as u8,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        }
    }

    fn month_name(self) -> &'static str {
        MONTHS
            .get(usize::from(self.month) - 1)
            .copied()
            .unwrap_or_default()
    }

    fn clock_12(self) -> String {
        let hour = match self.hour % 12 {
            0 => 12,
            hour => hour,
        };
        let half = if self.hour < 12 { "AM" } else { "PM" };
        format!("{hour}:{:02}:{:02} {half}", self.minute, self.second)
    }

    /// `11/22/26, 2:54:50 AM UTC`
    pub(super) fn short(self) -> String {
        format!(
            "{}/{}/{:02}, {} UTC",
            self.month,
            self.day,
            self.year.rem_euclid(100),
            self.clock_12()
        )
    }

    /// `Nov 22, 2026, 2:54:50 AM`
    pub(super) fn medium(self) -> String {
        format!(
            "{} {}, {}, {}",
            self.month_name(),
            self.day,
            self.year,
            self.clock_12()
        )
    }

    /// `Sun Nov 22 02:54:50 UTC 2026`
    pub(super) fn full(self) -> String {
        let weekday = WEEKDAYS
            .get(usize::from(self.weekday))
            .copied()
            .unwrap_or_default();
        format!(
            "{weekday} {} {:02} {:02}:{:02}:{:02} UTC {}",
            self.month_name(),
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.year
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, full) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (1_795_316_090_971, "Sun Nov 22 02:54:50 UTC 2026"),
            (4_107_542_399_000, "Sun Feb 28 23:59:59 UTC 2100"),
            (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
        ] {
            assert_eq!(Date::from_millis(millis).full(), full);
        }
        assert_eq!(
            Date::from_millis(1_795_316_090_971).short(),
            "11/22/26, 2:54:50 AM UTC"
        );
        assert_eq!(
            Date::from_millis(43_200_000).medium(),
            "Jan 1, 1970, 12:00:00 PM"
        );
    }

    #[test]
    fn no_number_is_too_large_for_a_date() {
        for millis in [i64::MIN, i64::MAX] {
            assert!(!Date::from_millis(millis).full().is_empty());
        }
    }
}
