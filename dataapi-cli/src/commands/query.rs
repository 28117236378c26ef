//! `dataapi query`: shows one page or all pages of consented dialogs, for people or programs.

use std::io::Write;

use dataapi::{Cursor, Dialog, Filter, Invalid, Limit, Page, PageRequest, Start, Window};
use dataapi_wire as wire;

use crate::args::QueryArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::formats::table::dialog_table;
use crate::output::Output;
use crate::terminal::counted;

pub(super) async fn run(args: QueryArgs, context: &Context) -> Result<Exit, CommandError> {
    let filter = args.filter.resolve()?;
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
            output.json(&wire::Dialog::from(dialog))?;
        }
    } else if !page.items.is_empty() {
        writeln!(output, "{}", dialog_table(&page.items))?;
    }
    Ok(())
}

fn tell_rest(context: &Context, shown: usize, total: Option<u64>, next: Option<&Cursor>) {
    if let Some(total) = total {
        context.note(&format!("{shown} of {}", counted(total, "dialog")));
    }
    if let Some(next) = next {
        context.note(&format!("next page: --cursor {next}"));
    }
}
