//! A table of one page of dialogs.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use dataapi::{Date, Dialog};

use crate::terminal::one_line;

/// The most characters of a text that a table shows, however wide the terminal is.
const TEXT_WIDTH: usize = 200;
/// The width of a table without a terminal.
const WIDTH: u16 = 120;
/// An id is never cut, so that it can be copied.
const ID_WIDTH: usize = 255 * "\\u{202e}".len();

pub(crate) fn dialog_table(dialogs: &[Dialog]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["received (UTC)", "customer", "dialog", "language", "text"]);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    for dialog in dialogs {
        let mut row = Row::from([
            to_the_second(dialog.date()),
            one_line(dialog.customer_id().as_str(), ID_WIDTH),
            one_line(dialog.dialog_id().as_str(), ID_WIDTH),
            dialog.language().as_str().to_owned(),
            one_line(dialog.text().as_str(), TEXT_WIDTH),
        ]);
        row.max_height(1);
        table.add_row(row);
    }
    let whole = ColumnConstraint::ContentWidth;
    let rest = ColumnConstraint::LowerBoundary(Width::Fixed(24));
    table.set_constraints([whole, whole, whole, whole, rest]);
    if let Some(text) = table.column_mut(4) {
        // A delimiter that never occurs, so that a text is cut anywhere: not every script has spaces.
        text.set_delimiter('\n');
    }
    table
}

fn to_the_second(date: Date) -> String {
    let date = date.to_string().replace('T', " ");
    date.split('.').next().unwrap_or_default().to_owned()
}
