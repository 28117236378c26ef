//! Values: every valid value is stored and returned byte for byte, and compared as promised.

use dataapi_core::{
    CustomerId, DialogId, DialogStore, Filter, Language, NewDialog, StoreError, Text,
};

use crate::ManualClock;
use crate::scene::{
    SECOND, assert_refused, customer, grant, held, id, insert, insert_consented, language, listed,
    newest, page, read, stats, status, withdraw, worded,
};

/// Valid ids that break code which splits, decodes, escapes, matches or normalises them.
const ODD_IDS: [&str; 36] = [
    "a/b",
    "/",
    "//",
    "/a/",
    "a%2Fb",
    "%2F",
    "%",
    "%%",
    "%00",
    "%zz",
    "_",
    "a_b",
    "axb",
    "*",
    "?",
    "?a=b&c=d",
    "#",
    "a+b",
    "a b",
    " ",
    " a",
    "a ",
    "'",
    "'; DROP TABLE dialogs; --",
    "\"",
    "\\",
    "...",
    ".a",
    "null",
    "🙂",
    "👩‍👩‍👧",
    "שלום/עולם",
    "\u{202e}abc",
    "e\u{301}",
    "\u{e9}",
    "\u{feff}",
];

async fn returns_whole(store: &dyn DialogStore, sent: NewDialog) {
    let whose = sent.customer_id.as_str();
    let name = sent.dialog_id.as_str();
    let date = store.insert(sent.clone()).await.expect("a valid dialog is stored").date;
    let status = status(store, name).await;
    assert_eq!(status.dialog_id, sent.dialog_id, "the status is that of exactly this id");
    assert_eq!(grant(store, name).await.dialog_id, sent.dialog_id, "so is the receipt");

    let one = read(store, whose, name).await.expect("a consented dialog can be read");
    let filter = Filter::default().customer(sent.customer_id.clone());
    let filter = filter.between(Some(date), None).expect("an open range is in order");
    let listed = page(store, &filter, newest(1)).await.items;
    assert_eq!(listed, std::slice::from_ref(&one), "the customer's newest page has the dialog");
    assert_eq!(one.customer_id(), &sent.customer_id, "the customer's id is returned unchanged");
    assert_eq!(one.dialog_id(), &sent.dialog_id, "the dialog's id is returned unchanged");
    assert_eq!(
        one.language().as_str(),
        sent.language.as_str(),
        "the language is returned unchanged"
    );
    assert!(one.text().as_str() == sent.text.as_str(), "the text is returned byte for byte");
    let held = held(store, whose).await;
    assert!(held[0].text() == &sent.text, "the customer's own copy is returned byte for byte");
}

/// Ids of 255 bytes are kept whole.
pub async fn the_longest_ids_are_kept_whole(store: &dyn DialogStore, _: &ManualClock) {
    let ascii = "x".repeat(DialogId::MAX_BYTES);
    let wide = "é".repeat(127) + "y";
    let widest = "🙂".repeat(63) + "/%2";
    for (whose, dialog) in [(&ascii, &wide), (&wide, &widest), (&widest, &ascii)] {
        assert_eq!(whose.len(), CustomerId::MAX_BYTES, "the test uses the longest ids");
        returns_whole(store, worded(whose, dialog, "en", "Hello")).await;
    }
    let shorter = &ascii[1..];
    assert_refused!(
        store.consent(&id(shorter)).await,
        StoreError::NotFound,
        "the longest ids differ in their last byte"
    );
}

/// A text of 64 KiB is kept whole.
pub async fn the_longest_text_is_kept_whole(store: &dyn DialogStore, clock: &ManualClock) {
    let pattern = "0123456789 äöü 🙂\n\"'\\ ";
    let mut text = pattern.repeat(Text::DEFAULT_MAX_BYTES / pattern.len());
    text.extend(std::iter::repeat_n('.', Text::DEFAULT_MAX_BYTES - text.len()));
    assert_eq!(text.len(), Text::DEFAULT_MAX_BYTES, "the test uses the longest text");
    returns_whole(store, worded("anna", "mixed", "en", &text)).await;
    clock.advance(SECOND);
    let quotes = "\"".repeat(Text::DEFAULT_MAX_BYTES);
    returns_whole(store, worded("anna", "quotes", "en", &quotes)).await;
}

/// A text can contain any character except NUL, and is returned byte for byte.
pub async fn texts_come_back_byte_for_byte(store: &dyn DialogStore, clock: &ManualClock) {
    let texts = [
        "x",
        " ",
        "\n",
        "\r\n\r\n",
        "  padded\t\n ",
        "\"quoted\" 'twice' `thrice` \\ \\n \\u0000",
        "{\"text\":\"JSON\"}",
        "line\u{2028}separator\u{85}next",
        "🙂👩‍👩‍👧🏳️‍🌈",
        "שלום \u{202b}עולם\u{202c} مرحبا",
        "e\u{301} is not \u{e9}",
        "\u{1}\u{7f}\u{9f}\u{1b}[31m",
        "\u{feff}marked",
        "\u{fffd}\u{ffff}\u{10ffff}",
        "null",
        "%00 %2F &amp; <b>",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        returns_whole(store, worded("anna", &format!("d-{number}"), "en", text)).await;
        clock.advance(SECOND);
    }
}

/// Dialog ids are compared byte for byte, whatever they contain.
pub async fn odd_dialog_ids_are_told_apart(store: &dyn DialogStore, clock: &ManualClock) {
    for odd in ODD_IDS {
        returns_whole(store, worded("anna", odd, "en", odd)).await;
        clock.advance(SECOND);
    }
    let expected: Vec<_> = ODD_IDS.into_iter().rev().collect();
    assert_eq!(listed(store, &Filter::default()).await, expected, "each is its own dialog");
    for (number, odd) in ODD_IDS.into_iter().enumerate() {
        let erased = store.erase_dialog(&customer("anna"), &id(odd)).await;
        erased.expect("each can be erased by its id");
        let left = held(store, "anna").await.len();
        assert_eq!(left, ODD_IDS.len() - 1 - number, "erasing one leaves the others alone");
    }
}

/// Customer ids are compared byte for byte, whatever they contain.
pub async fn odd_customer_ids_are_told_apart(store: &dyn DialogStore, _: &ManualClock) {
    for (number, odd) in ODD_IDS.into_iter().enumerate() {
        returns_whole(store, worded(odd, &format!("d-{number}"), "en", "Hello")).await;
    }
    for (number, odd) in ODD_IDS.into_iter().enumerate() {
        let filter = Filter::default().customer(customer(odd));
        let expected = [format!("d-{number}")];
        assert_eq!(
            listed(store, &filter).await,
            expected,
            "a filter matches exactly this customer"
        );
        let erased = store.erase_customer(&customer(odd)).await.expect("a customer can be erased");
        assert_eq!(erased, 1, "an erasure affects exactly this customer");
    }
}

/// Ids are never normalised, and their case is never folded.
pub async fn similar_ids_are_different_dialogs(store: &dyn DialogStore, _: &ManualClock) {
    let similar = ["ab", "Ab", "aB", "AB", "ab ", " ab", "ａｂ", "a\u{200b}b", "а\u{62}"];
    for dialog in similar {
        insert_consented(store, dialog, dialog).await;
    }
    for dialog in similar {
        let read = read(store, dialog, dialog).await.expect("each is its own dialog");
        assert_eq!(read.dialog_id().as_str(), dialog, "each is its own dialog");
        let filter = Filter::default().customer(customer(dialog));
        assert_eq!(listed(store, &filter).await, [dialog], "each is its own customer");
    }
    insert(store, "ab", "stra\u{df}e").await;
    insert(store, "ab", "strasse").await;
    insert(store, "ab", "STRASSE").await;
}

/// A tombstone blocks exactly one id: a similar id is still free.
pub async fn a_tombstone_is_of_the_very_id(store: &dyn DialogStore, _: &ManualClock) {
    insert(store, "anna", "caf\u{e9}").await;
    withdraw(store, "caf\u{e9}").await;
    for similar in ["cafe\u{301}", "CAF\u{e9}", "caf\u{e9} ", "cafe"] {
        insert_consented(store, "anna", similar).await;
    }
    assert_eq!(stats(store).await.consented, 4, "similar ids are not gone");
}

/// A language is compared without regard to case, and returned as it was sent.
pub async fn languages_are_returned_as_they_were_sent(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let longest = format!("en{}-x-{}", "-abcdefgh".repeat(27), "y".repeat(7));
    assert!(longest.parse::<Language>().is_ok(), "the test uses well-formed tags");
    let tags =
        ["en", "EN", "eN", "pt-BR", "PT-br", "zh-hant-tw", "x-whatever", "i-klingon", &longest];
    for (number, tag) in tags.into_iter().enumerate() {
        returns_whole(store, worded("anna", &format!("d-{number}"), tag, "Hello")).await;
        clock.advance(SECOND);
    }
    for (tag, count) in [("En", 3), ("pt-br", 2), ("ZH-Hant-TW", 1), ("pt", 0), ("zh", 0)] {
        let listed = listed(store, &Filter::default().language(language(tag))).await;
        assert_eq!(listed.len(), count, "a filter matches the whole tag {tag} in any case");
    }
}
