//! Dates: their text form, and exactly which texts are read as one.

use std::time::Duration;

use dataapi_core::Date;
use proptest::prelude::*;

fn quiet() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Any date, with those at the bounds more often than by chance.
fn date() -> impl Strategy<Value = Date> {
    let (first, last) = (Date::MIN.as_micros(), Date::MAX.as_micros());
    let micros = prop_oneof![
        4 => first..=last,
        1 => first..=first + 2_000_000,
        1 => last - 2_000_000..=last,
        1 => -2_000_000..2_000_000_i64,
    ];
    micros.prop_map(|micros| Date::from_micros(micros).expect("it is within the bounds"))
}

/// What RFC 3339 section 5.6 allows, except more than nine digits of a second.
fn is_rfc3339(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    let separated = |places: &[(usize, &[u8])]| {
        places
            .iter()
            .all(|(place, any)| text.as_bytes().get(*place).is_some_and(|byte| any.contains(byte)))
    };
    let days = |year: u32, month: u32| match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let head = || {
        let (year, month) = (number(0..4)?, number(5..7)?);
        let (day, hour) = (number(8..10)?, number(11..13)?);
        let (minute, second) = (number(14..16)?, number(17..19)?);
        let fits = (1..=12).contains(&month)
            && (1..=days(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        fits.then_some(())
    };
    let between = [(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if head().is_none() || !separated(&between) {
        return false;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
        if !(1..=9).contains(&(fraction.len() - rest.len())) {
            return false;
        }
    }
    let start = text.len() - rest.len();
    let offset = || {
        let fits = number(start + 1..start + 3)? < 24 && number(start + 4..start + 6)? < 60;
        fits.then_some(())
    };
    matches!(rest, "Z" | "z")
        || rest.len() == 6 && separated(&[(start, b"+-"), (start + 3, b":")]) && offset().is_some()
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn a_date_reads_back_as_itself(date in date()) {
        let text = date.to_string();
        prop_assert_eq!(text.parse::<Date>(), Ok(date));
        prop_assert_eq!(Date::from_micros(date.as_micros()), Ok(date));
    }

    #[test]
    fn a_date_is_written_with_six_digits_and_z(date in date()) {
        let text = date.to_string();
        prop_assert_eq!(text.len(), "2026-03-01T10:00:00.000000Z".len());
        prop_assert!(text.ends_with('Z') && is_rfc3339(&text), "{} is RFC 3339", text);
    }

    #[test]
    fn dates_sort_as_their_texts(one in date(), other in date()) {
        prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
    }

    #[test]
    fn nothing_outside_the_years_1_to_9999_is_a_date(micros in any::<i64>()) {
        let inside = (Date::MIN.as_micros()..=Date::MAX.as_micros()).contains(&micros);
        prop_assert_eq!(Date::from_micros(micros).is_ok(), inside);
    }

    #[test]
    fn an_offset_is_taken_away(
        micros in -60_000_000_000_000_000..250_000_000_000_000_000_i64,
        hours in 0..24_i64,
        minutes in 0..60_i64,
        west in any::<bool>(),
    ) {
        let date = Date::from_micros(micros).expect("it is within the bounds");
        let sign = if west { -1 } else { 1 };
        let shifted = micros + sign * (hours * 60 + minutes) * 60_000_000;
        let local = Date::from_micros(shifted).expect("it is within the bounds").to_string();
        let offset = format!("{}{hours:02}:{minutes:02}", if west { '-' } else { '+' });
        prop_assert_eq!(local.replace('Z', &offset).parse::<Date>(), Ok(date));
    }

    #[test]
    fn what_is_finer_than_a_microsecond_is_cut_off(date in date(), finer in "[0-9]{1,3}") {
        let text = date.to_string().replace('Z', &format!("{finer}Z"));
        prop_assert_eq!(text.parse::<Date>(), Ok(date));
    }

    #[test]
    fn a_shorter_fraction_counts_from_the_left(date in date(), digits in 0..=6_usize) {
        let text = date.to_string();
        let (seconds, fraction) = text.split_at("2026-03-01T10:00:00".len());
        let fraction = if digits == 0 { "" } else { &fraction[..=digits] };
        let unit = 10_i64.pow(6 - u32::try_from(digits).expect("few digits"));
        let micros = date.as_micros().div_euclid(unit) * unit;
        let expected = Date::from_micros(micros);
        prop_assert_eq!(format!("{seconds}{fraction}Z").parse::<Date>(), expected);
    }

    #[test]
    fn only_rfc_3339_is_read(
        date in (-60_000_000_000_000_000..250_000_000_000_000_000_i64),
        end in prop_oneof![Just("Z"), Just("+02:00"), Just("-23:59"), Just(".5Z"), Just("")],
        place in 0..40_usize,
        change in prop_oneof![
            4 => "[-+:.TtZz 0-9]{0,2}",
            1 => any::<String>(),
        ],
    ) {
        let date = Date::from_micros(date).expect("it is within the bounds");
        let mut text = date.to_string()[..19].to_owned() + end;
        let place = place.min(text.len());
        text.replace_range(place..(place + 1).min(text.len()), &change);
        prop_assert_eq!(text.parse::<Date>().is_ok(), is_rfc3339(&text), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Err(refusal) = text.parse::<Date>() {
            prop_assert_eq!(refusal.field, "date");
        }
    }

    #[test]
    fn moving_a_date_stops_at_the_bounds(date in date(), by in any::<u64>()) {
        let by = Duration::from_micros(by);
        let later = i128::from(date.as_micros()) + i128::try_from(by.as_micros()).expect("fits");
        let later = later.min(i128::from(Date::MAX.as_micros()));
        prop_assert_eq!(i128::from(date.saturating_add(by).as_micros()), later);
        let earlier = i128::from(date.as_micros()) - i128::try_from(by.as_micros()).expect("fits");
        let earlier = earlier.max(i128::from(Date::MIN.as_micros()));
        prop_assert_eq!(i128::from(date.saturating_sub(by).as_micros()), earlier);
    }
}

#[test]
fn the_outermost_dates_are_written_and_read() {
    for (date, text) in
        [(Date::MIN, "0001-01-01T00:00:00.000000Z"), (Date::MAX, "9999-12-30T22:00:00.999999Z")]
    {
        assert_eq!(date.to_string(), text);
        assert_eq!(text.parse(), Ok(date));
    }
}

#[test]
fn what_only_looks_like_rfc_3339_is_refused() {
    for text in [
        "",
        "2026-03-01",
        "2026-03-01T10:00Z",
        "2026-03-01T10:00:00",
        "2026-03-01T10:00:00.Z",
        "2026-03-01T10:00:00,5Z",
        "2026-03-01T10:00:00+02",
        "2026-03-01T10:00:00+0200",
        "2026-03-01T10:00:00+02:00:00",
        "2026-03-01T10:00:00+24:00",
        "2026-03-01T10:00:00-25:59",
        "2026-03-01T10:00:00+02:60",
        "2026-03-01T10:00:00Z[Europe/Berlin]",
        "2026-03-01T10:00:00+01:00[Europe/Berlin]",
        "2026-03-01T24:00:00Z",
        "2026-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "20260301T100000Z",
        "2026-W09-7T10:00:00Z",
        "+002026-03-01T10:00:00Z",
        "-000001-03-01T10:00:00Z",
        " 2026-03-01T10:00:00Z",
        "2026-03-01T10:00:00Z ",
        "٢٠٢٦-03-01T10:00:00Z",
        "0000-12-31T23:59:59Z",
        "9999-12-31T00:00:00Z",
    ] {
        assert!(text.parse::<Date>().is_err(), "{text:?} is not a date");
    }
}
