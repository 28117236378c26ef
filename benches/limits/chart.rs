//! Draws the results as charts.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::curve::Curve;
use crate::outcome::Outcome;
use crate::report::{Goal, Row, figure};
use crate::tally::Second;

const MET: RGBColor = RGBColor(46, 125, 84);
const MISSED: RGBColor = RGBColor(190, 74, 52);
const INK: RGBColor = RGBColor(40, 40, 40);

const WIDTH: u32 = 1_000;
const BAR: i32 = 26;
const TOP: i32 = 60;
const LEFT: i32 = 330;
/// Where the bar of a row ends that exactly reaches its goal.
const GOAL: i32 = 620;
const LONGEST: f64 = 1.6;

/// Draws a bar for each row that has a goal. All goals are on one line.
pub(crate) fn rows(path: &Path, rows: &[Row]) -> Outcome<()> {
    let rows: Vec<_> = rows.iter().filter_map(|row| row.goal.map(|goal| (row, goal))).collect();
    let bottom = TOP + BAR * i32::try_from(rows.len())?;
    let height = u32::try_from(bottom + 20)?;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    write(&area, "DataAPI against its goals: a longer bar is better", (20, 18), 17)?;
    write(&area, "the goal", (GOAL + 4, TOP - 18), 13)?;
    for (place, (row, goal)) in (0_i32..).zip(&rows) {
        let y = TOP + BAR * place;
        let reached = match goal {
            Goal::AtLeast(ratio) => row.ratio / ratio,
            Goal::AtMost(ratio) => ratio / row.ratio,
        };
        let color = if row.reached == Some(true) { MET } else { MISSED };
        let end = LEFT + pixels(f64::from(GOAL - LEFT) * reached.min(LONGEST));
        area.draw(&Rectangle::new([(LEFT, y + 4), (end, y + BAR - 4)], color.filled()))?;
        write(&area, row.name, (20, y + 7), 13)?;
        let goal = match goal {
            Goal::AtLeast(ratio) => format!("at least {ratio}"),
            Goal::AtMost(ratio) => format!("at most {ratio}"),
        };
        let (figure, unit) = (figure(row.product), row.unit);
        let text = format!("{:.2} ({goal}), {figure} {unit}", row.ratio);
        write(&area, &text, (end.max(GOAL) + 6, y + 7), 13)?;
    }
    area.draw(&PathElement::new([(GOAL, TOP - 4), (GOAL, bottom + 4)], INK.stroke_width(2)))?;
    Ok(area.present()?)
}

/// Draws a curve for each figure: its ratio to that of the smallest store.
pub(crate) fn growth(path: &Path, curves: &[Curve]) -> Outcome<()> {
    const COLORS: [RGBColor; 8] = [
        RGBColor(31, 119, 180),
        RGBColor(255, 127, 14),
        RGBColor(44, 160, 44),
        RGBColor(214, 39, 40),
        RGBColor(148, 103, 189),
        RGBColor(140, 86, 75),
        RGBColor(227, 119, 194),
        RGBColor(23, 190, 207),
    ];
    let points = || curves.iter().flat_map(|curve| &curve.ratios);
    let most = points().map(|(_, ratio)| *ratio).fold(2.0, f64::max);
    let sizes = || points().map(|(dialogs, _)| *dialogs as f64);
    let (fewest, largest) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(1.0, f64::max));
    let area = SVGBackend::new(path, (WIDTH, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "DataAPI: time and memory by dialogs in the store, smallest store = 1",
            ("sans-serif", 17),
        )
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((fewest..largest).log_scale(), 0.0..most * 1.1)?;
    chart.configure_mesh().x_desc("dialogs").y_desc("times the smallest").draw()?;
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        let points = curve.ratios.iter().map(|(dialogs, ratio)| (*dialogs as f64, *ratio));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().border_style(INK).background_style(WHITE.mix(0.8)).draw()?;
    Ok(area.present()?)
}

/// Draws two curves for each load, with a line for each round: the answers of each second, and its worst latency.
pub(crate) fn by_second(path: &Path, loads: &[(&str, Vec<&[Second]>)]) -> Outcome<()> {
    const PANEL: i32 = 170;
    let height = u32::try_from(TOP + PANEL * i32::try_from(loads.len())?)?;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let caption =
        "DataAPI by second: answers, and the worst latency in milliseconds; a line a round";
    write(&area, caption, (20, 18), 17)?;
    let (_, panels) = area.split_vertically(TOP);
    for (panel, (name, rounds)) in panels.split_evenly((loads.len(), 1)).iter().zip(loads) {
        write(panel, name, (20, 4), 14)?;
        let (_, curves) = panel.split_vertically(20);
        let (answers, latencies) = curves.split_horizontally(WIDTH / 2);
        curve(&answers, rounds, MET, |second| second.count as f64)?;
        curve(&latencies, rounds, MISSED, |second| second.worst_ms)?;
    }
    Ok(area.present()?)
}

fn curve(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    rounds: &[&[Second]],
    color: RGBColor,
    value: impl Fn(&Second) -> f64,
) -> Outcome<()> {
    let longest = rounds.iter().map(|round| round.len()).max().unwrap_or(0).max(2);
    let most = rounds.iter().copied().flatten().map(&value).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .x_label_area_size(20)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..(longest - 1) as f64, 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .y_labels(5)
        .x_label_formatter(&|second| format!("{second:.0}"))
        .y_label_formatter(&|value| figure(*value))
        .light_line_style(WHITE)
        .draw()?;
    for round in rounds {
        let points = round.iter().enumerate().map(|(at, second)| (at as f64, value(second)));
        chart.draw_series(LineSeries::new(points, color.mix(0.7).stroke_width(1)))?;
    }
    Ok(())
}

fn write(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    text: &str,
    at: (i32, i32),
    size: i32,
) -> Outcome<()> {
    let style = ("sans-serif", size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Top));
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

#[allow(clippy::cast_possible_truncation, reason = "a place in the picture")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}
