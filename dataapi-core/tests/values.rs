//! Values: exactly what the contract allows is accepted, and it is kept unchanged.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use dataapi_core::{
    CustomerId, CustomerPrefix, DialogId, DialogRef, Evidence, EvidenceField, Invalid, Language,
    LanguageRange, Limit, NewDialog, RefKey, StoreError, Text,
};
use proptest::prelude::*;
use proptest::sample::select;

fn quiet() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Any text, with lengths near the bounds of an id more often than by chance.
fn text_like_an_id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<String>(),
        4 => "\\PC{0,30}",
        2 => "[./%]{0,4}",
        2 => "[\\x00-\\x20\\x7e-\\xa1a]{0,4}",
        1 => "[a-zé🙂]{60,70}",
        2 => (250..260_usize).prop_map(|length| "x".repeat(length)),
        1 => (126..129_usize).prop_map(|length| "é".repeat(length)),
    ]
}

/// 1 to 255 bytes, no control characters, not `.` or `..`.
fn is_an_id(text: &str) -> bool {
    let control = |char| matches!(char, '\0'..='\x1f' | '\x7f'..='\u{9f}');
    (1..=255).contains(&text.len()) && !text.contains(control) && text != "." && text != ".."
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Follows the grammar of RFC 5646 section 2.1.
fn well_formed_tag() -> impl Strategy<Value = String> {
    let language = "([a-zA-Z]{2,3}(-[a-zA-Z]{3}){0,3}|[a-zA-Z]{4}|[a-zA-Z]{5,8})";
    let variant = "([a-zA-Z0-9]{5,8}|[0-9][a-zA-Z0-9]{3})";
    let tag = format!(
        "{language}(-[a-zA-Z]{{4}})?(-([a-zA-Z]{{2}}|[0-9]{{3}}))?(-{variant}){{0,2}}\
         (-[0-9a-wy-zA-WY-Z](-[a-zA-Z0-9]{{2,8}}){{1,2}}){{0,2}}(-[xX](-[a-zA-Z0-9]{{1,8}}){{1,2}})?"
    );
    prop_oneof![
        6 => proptest::string::string_regex(&tag).expect("a regular expression"),
        1 => proptest::string::string_regex("[xX](-[a-zA-Z0-9]{1,8}){1,4}").expect("it is one"),
        1 => select(&["en-GB-oed", "i-klingon", "sgn-BE-FR", "art-lojban", "I-Default"][..])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn exactly_what_the_contract_allows_is_an_id(text in text_like_an_id()) {
        let customer = text.parse::<CustomerId>();
        let dialog = text.parse::<DialogId>();
        prop_assert_eq!(customer.is_ok(), is_an_id(&text));
        prop_assert_eq!(dialog.is_ok(), is_an_id(&text));
        prop_assert_eq!(&CustomerId::try_from(text.clone()), &customer);
        prop_assert_eq!(&DialogId::try_from(text.clone()), &dialog);
        match (customer, dialog) {
            (Ok(customer), Ok(dialog)) => {
                prop_assert_eq!(customer.as_str(), &text);
                prop_assert_eq!(dialog.as_str(), &text);
                prop_assert_eq!(format!("{customer:?}"), "CustomerId([redacted])");
                prop_assert_eq!(format!("{dialog:?}"), "DialogId([redacted])");
            }
            (Err(customer), Err(dialog)) => {
                prop_assert_eq!(customer.field, "customer_id");
                prop_assert_eq!(dialog.field, "dialog_id");
            }
            _ => prop_assert!(false, "both ids have the same bounds"),
        }
    }

    #[test]
    fn ids_compare_byte_for_byte(one in "\\PC{1,3}", other in "\\PC{1,3}") {
        let (Ok(left), Ok(right)) = (one.parse::<DialogId>(), other.parse::<DialogId>()) else {
            return Ok(());
        };
        prop_assert_eq!(left.cmp(&right), one.as_bytes().cmp(other.as_bytes()));
        prop_assert_eq!(left == right, one.as_bytes() == other.as_bytes());
    }

    #[test]
    fn a_well_formed_tag_is_a_language_and_stays_as_sent(tag in well_formed_tag()) {
        let language: Language = tag.parse()?;
        prop_assert_eq!(language.as_str(), &tag);
        prop_assert_eq!(&language.canonical().parse::<Language>()?, &language);
    }

    #[test]
    fn languages_compare_without_regard_to_case(
        one in well_formed_tag(),
        other in well_formed_tag(),
    ) {
        let parse = |tag: &str| tag.parse::<Language>().expect("it is well-formed");
        let language = parse(&one);
        for cased in [one.to_ascii_lowercase(), one.to_ascii_uppercase()] {
            prop_assert_eq!(&language, &parse(&cased));
            prop_assert_eq!(hash(&language), hash(&parse(&cased)));
        }
        let expected = one.to_ascii_lowercase().cmp(&other.to_ascii_lowercase());
        prop_assert_eq!(language.cmp(&parse(&other)), expected);
        prop_assert_eq!(language == parse(&other), expected.is_eq());
    }

    #[test]
    fn a_malformed_tag_is_no_language(
        tag in well_formed_tag(),
        place in any::<prop::sample::Index>(),
        bad in select(&["--", "-", "_", " ", "é", "🙂", "\n", "\0", ".", "-abcdefghi-"][..]),
    ) {
        // A whole bad subtag: first, between two others, or last.
        let ends: Vec<_> =
            tag.match_indices('-').map(|(at, _)| at).chain([0, tag.len()]).collect();
        let at = ends[place.index(ends.len())];
        let broken = format!("{}{bad}{}", &tag[..at], &tag[at..]);
        // A hyphen before another one or at an end leaves an empty subtag. The other characters are never allowed.
        let refusal = broken.parse::<Language>();
        prop_assert!(refusal.is_err(), "{} is not well-formed", broken);
        prop_assert_eq!(refusal.map_err(|it| it.field), Err("language"));
    }

    #[test]
    fn any_text_is_a_language_or_refused(text in any::<String>()) {
        if let Ok(language) = text.parse::<Language>() {
            prop_assert!(language.as_str().is_ascii() && language.as_str().len() <= 255);
        }
    }

    #[test]
    fn a_text_has_1_byte_to_the_limit_and_no_nul(
        text in prop_oneof![any::<String>(), "[a\\x00]{0,6}", "\\PC{0,6}"],
        max_bytes in 0..12_usize,
    ) {
        let allowed = (1..=max_bytes).contains(&text.len()) && !text.contains('\0');
        match Text::parse(text.clone(), max_bytes) {
            Ok(parsed) => {
                prop_assert!(allowed);
                prop_assert_eq!(parsed.as_str(), &text);
                prop_assert_eq!(format!("{parsed:?}"), "Text([redacted])");
            }
            Err(refusal) => {
                prop_assert!(!allowed);
                prop_assert_eq!(refusal.field, "text");
            }
        }
    }

    #[test]
    fn evidence_has_up_to_255_bytes_and_no_nul(text in text_like_an_id()) {
        let allowed = text.len() <= 255 && !text.contains('\0');
        let parsed = EvidenceField::parse("notice", text.clone());
        prop_assert_eq!(parsed.is_ok(), allowed);
        for (place, field) in ["notice", "method", "locale"].into_iter().enumerate() {
            let mut pieces = [None, None, None];
            pieces[place] = Some(text.clone());
            let [notice, method, locale] = pieces;
            match Evidence::parse(notice, method, locale) {
                Ok(evidence) => {
                    let kept = [evidence.notice, evidence.method, evidence.locale];
                    prop_assert_eq!(kept[place].as_ref(), parsed.as_ref().ok());
                    prop_assert_eq!(kept.iter().flatten().count(), 1);
                }
                Err(refusal) => prop_assert_eq!((refusal.field, allowed), (field, false)),
            }
        }
    }

    #[test]
    fn a_limit_is_1_to_1000(limit in prop_oneof![0..1_100_u64, any::<u64>()]) {
        let parsed = Limit::new(limit);
        prop_assert_eq!(parsed.is_ok(), (1..=1000).contains(&limit));
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed.get() as u64, limit);
        }
    }

    #[test]
    fn a_refusal_names_the_first_bad_field_and_never_its_value(bad in [any::<bool>(); 4]) {
        let values = [("anna", "\n"), ("d-1", ".."), ("en", "no tag"), ("Hello", "se\0cret")];
        let mut chosen = [""; 4];
        for place in 0..4 {
            chosen[place] = if bad[place] { values[place].1 } else { values[place].0 };
        }
        let [customer, dialog, language, text] = chosen;
        let fields = ["customer_id", "dialog_id", "language", "text"];
        let expected = bad.iter().position(|bad| *bad).map(|place| fields[place]);
        let refusal = NewDialog::parse(customer, dialog, language, text).err();
        prop_assert_eq!(refusal.as_ref().map(|refusal| refusal.field), expected);
        if let Some(refusal) = refusal {
            prop_assert!(!refusal.to_string().contains("cret"));
        }
    }
}

#[test]
fn the_longest_id_has_255_bytes() {
    for (bytes, fits) in [(254, true), (255, true), (256, false), (257, false)] {
        assert_eq!("x".repeat(bytes).parse::<CustomerId>().is_ok(), fits, "{bytes}");
        assert_eq!("x".repeat(bytes).parse::<DialogId>().is_ok(), fits, "{bytes}");
    }
}

#[test]
fn the_longest_language_has_255_bytes() {
    let tag = |last: &str| format!("x{}-{last}", "-aaaaaaaa".repeat(28));
    assert_eq!(tag("a").len(), 255, "the test makes a tag of that length");
    assert!(tag("a").parse::<Language>().is_ok());
    assert!(tag("aa").parse::<Language>().is_err());
}

/// Most tags are two letters, or two and two. Tags that look much like them are no tags.
#[test]
fn what_only_looks_like_a_short_tag_is_refused() {
    for tag in ["en", "EN", "en-GB", "pt-br", "deu", "gsw-CH", "abcdefgh", "en-abcdefgh", "en-419"]
    {
        assert_eq!(tag.parse::<Language>().expect("a tag").as_str(), tag);
    }
    for text in [
        "",
        "e",
        "abcdefghi",
        "ABCDEFGHIJ",
        "e-GB",
        "englishes-GB",
        "en-G",
        "en-abcdefghi",
        "en-G1",
        "12",
        "1n-GB",
        "en_GB",
        "en-GB-",
        "é",
        "en-é",
    ] {
        let refusal = text.parse::<Language>().expect_err("it is no tag");
        assert_eq!(refusal.field, "language", "{text:?}");
    }
}

#[test]
fn a_range_matches_its_tag_and_what_extends_it() {
    let language = |tag: &str| tag.parse::<Language>().expect("a tag");
    for tag in ["en", "EN", "en-GB", "EN-gb-oed", "enm", "de", "de-EN"] {
        let range = |text: &str| text.parse::<LanguageRange>().expect("a range");
        let lower = tag.to_ascii_lowercase();
        let is_english = lower == "en" || lower.starts_with("en-");
        assert_eq!(range("en-*").matches(&language(tag)), is_english, "{tag}");
        assert_eq!(range("En").matches(&language(tag)), lower == "en", "{tag}");
        assert_eq!(range("en-gb-*").matches(&language(tag)), lower.starts_with("en-gb"), "{tag}");
    }
    for (text, range) in [
        ("pt-BR", LanguageRange::Tag(language("pt-BR"))),
        ("pt-*", LanguageRange::Prefix(language("pt"))),
    ] {
        assert_eq!(text.parse(), Ok(range.clone()));
        assert_eq!(range.to_string(), text);
    }
    assert_eq!(LanguageRange::from(language("pt-BR")).to_string(), "pt-BR");
    for text in ["*", "-*", "*-GB", "en*", "en-*-*", "en-*-GB"] {
        let refusal = text.parse::<LanguageRange>().expect_err("it is no range");
        assert_eq!(refusal.field, "language", "{text:?}");
    }
}

#[test]
fn a_prefix_has_1_to_255_bytes_and_ends_before_what_it_does_not_begin() {
    for prefix in ["a", ".", "shop-", &"x".repeat(255)] {
        assert_eq!(prefix.parse::<CustomerPrefix>().expect("a prefix").as_str(), prefix);
    }
    for prefix in ["", "a\n", &"x".repeat(256), &"x".repeat(257)] {
        let refusal = prefix.parse::<CustomerPrefix>().expect_err("it is no prefix");
        assert_eq!(refusal.field, "customers");
    }
    let end = |prefix: &str| prefix.parse::<CustomerPrefix>().expect("a prefix").end();
    assert_eq!(end("shop-").as_deref(), Some("shop."));
    assert_eq!(end("\u{10ffff}"), None);
}

#[test]
fn a_text_has_64_kib_unless_another_limit_is_set() {
    let parse = |bytes| NewDialog::parse("anna", "d-1", "en", &"x".repeat(bytes));
    assert!(parse(65_536).is_ok());
    assert_eq!(parse(65_537).map_err(|refusal| refusal.field), Err("text"));
}

#[test]
fn consent_from_another_store_says_so() {
    let expected = Evidence::parse(None, Some("import".to_owned()), None);
    assert_eq!(expected, Ok(Evidence::of_import()));
}

/// The ledger has this form, and other programs read it.
#[test]
fn a_reference_is_a_keyed_hash_in_64_hexadecimal_digits() {
    let id: DialogId = "d-1".parse().expect("an id");
    let reference = RefKey::from_bytes([7; 32]).reference(&id);
    let expected = blake3::keyed_hash(&[7; 32], b"d-1");
    assert_eq!(reference.as_bytes(), expected.as_bytes());
    assert_eq!(reference.to_string(), expected.to_hex().as_str());
    assert_eq!(expected.to_hex().to_uppercase().parse(), Ok(reference));
    let digits = reference.to_string();
    for text in ["", &digits[1..], &format!("{digits}0"), &format!("g{}", &digits[1..])] {
        let refusal = text.parse::<DialogRef>().expect_err("it is no reference");
        assert_eq!(refusal.field, "ref", "{text:?}");
    }
    assert_ne!(RefKey::from_bytes([8; 32]).reference(&id), reference);
}

#[test]
fn what_is_secret_or_personal_is_not_printed() {
    assert_eq!(format!("{:?}", RefKey::from_bytes([7; 32])), "RefKey([redacted])");
    let prefix: CustomerPrefix = "shop-".parse().expect("a prefix");
    assert_eq!(format!("{prefix:?}"), "CustomerPrefix([redacted])");
    let dialog = NewDialog::parse("anna", "d-1", "en-GB", "Hello").expect("valid");
    let printed = format!("{dialog:?}");
    assert!(printed.contains("Language(en-GB)"), "{printed}");
    assert!(["anna", "d-1", "Hello"].iter().all(|personal| !printed.contains(personal)));
}

#[test]
fn a_refusal_can_be_told_under_the_name_that_the_caller_knows() {
    let refusal = Invalid::new("limit", "must be 1 to 1000");
    let renamed = refusal.clone().of("--limit");
    assert_eq!(renamed.to_string(), "--limit must be 1 to 1000");
    assert_eq!(StoreError::from(refusal).to_string(), "limit must be 1 to 1000");
}
