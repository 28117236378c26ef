//! `dataapi query`: consented dialogs, a page or all, for people or programs.

use std::io::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use dataapi::{Cursor, Date, Dialog, Filter, Invalid, Limit, Page, PageRequest, Start, Window};

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exchange::Record;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal;

/// How much of a text a table may show, on however wide a terminal.
const TEXT_WIDTH: usize = 200;
/// How wide a table is where there is no terminal.
const WIDTH: u16 = 120;
/// An id is as long as it is: it is there to be copied.
const ID_WIDTH: usize = 255 * "\\u{202e}".len();

pub(super) async fn run(args: args::Query, context: &Context) -> Result<Exit, CommandError> {
    let filter = Filter::try_from(args.filter)?;
    let limit = if args.all { Limit::MAX } else { Limit::new(args.limit)? };
    let mut start = match args.cursor {
        Some(cursor) => Start::After(cursor.parse::<Cursor>()?),
        None => Start::Offset(args.offset),
    };
    let mut request = page_of(&filter, limit, start, !args.json)?;
    let store = context.open_existing().await?;
    let mut output = Output::stdout();
    let mut shown = 0;
    let mut total = None;
    loop {
        let page = store.query(&request).await?;
        shown += page.items.len();
        total = total.or(page.total);
        write(&mut output, &page, args.json)?;
        start = match page.next {
            Some(next) if args.all => Start::After(next),
            next => {
                output.finish()?;
                tell_rest(context, shown, total, next.as_ref());
                return Ok(Exit::Done);
            }
        };
        request = page_of(&filter, limit, start, false)?;
    }
}

fn page_of(
    filter: &Filter,
    limit: Limit,
    start: Start,
    total: bool,
) -> Result<PageRequest, Invalid> {
    PageRequest::new(filter.clone(), Window { limit, start, total })
}

fn write(output: &mut Output, page: &Page<Dialog>, json: bool) -> Result<(), CommandError> {
    if json {
        for dialog in &page.items {
            output.json(&Record::from(dialog))?;
        }
    } else if !page.items.is_empty() {
        writeln!(output, "{}", table(&page.items))?;
    }
    Ok(())
}

fn tell_rest(context: &Context, shown: usize, total: Option<u64>, next: Option<&Cursor>) {
    if let Some(total) = total {
        context.note(&format!("{shown} of {total} dialogs"));
    }
    if let Some(next) = next {
        context.note(&format!("next page: --cursor {next}"));
    }
}

fn table(dialogs: &[Dialog]) -> Table {
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
            terminal::one_line(dialog.customer_id().as_str(), ID_WIDTH),
            terminal::one_line(dialog.dialog_id().as_str(), ID_WIDTH),
            dialog.language().as_str().to_owned(),
            terminal::one_line(dialog.text().as_str(), TEXT_WIDTH),
        ]);
        row.max_height(1);
        table.add_row(row);
    }
    let whole = ColumnConstraint::ContentWidth;
    let rest = ColumnConstraint::LowerBoundary(Width::Fixed(24));
    table.set_constraints([whole, whole, whole, whole, rest]);
    if let Some(text) = table.column_mut(4) {
        // Cuts anywhere: not every script has spaces to cut at, and this never stands in a line.
        text.set_delimiter('\n');
    }
    table
}

fn to_the_second(date: Date) -> String {
    let date = date.to_string().replace('T', " ");
    date.split('.').next().unwrap_or_default().to_owned()
}
