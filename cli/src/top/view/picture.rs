//! Picture of the dashboard for the documents: an SVG that the program draws.
//!
//! `UPDATE_DOCS=1 cargo test -p poolctl` updates it.

use std::fmt::Write as _;

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};

use super::tests::{drawn, with_keys};
use crate::top::theme::Theme;

/// Size of a character.
const WIDTH: usize = 8;
const HEIGHT: usize = 17;
const PAPER: &str = "#16181d";
const INK: &str = "#d5d8de";

#[test]
fn the_picture_is_what_the_program_draws() {
    let mut model = with_keys(120, 24);
    model.options.theme = Theme::Dark;
    let picture = svg(drawn(&model).backend().buffer());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/top.svg");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &picture).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == picture, "the dashboard looks different: UPDATE_DOCS=1 cargo test -p poolctl");
}

fn svg(buffer: &Buffer) -> String {
    let columns = usize::from(buffer.area.width);
    let (width, height) = (columns * WIDTH, usize::from(buffer.area.height) * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-12 -12 {} {}\" font-family=\"monospace\" \
         font-size=\"13\" xml:space=\"preserve\">\n\
         <rect x=\"-12\" y=\"-12\" width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n",
        width + 24,
        height + 24,
    );
    for (row, cells) in buffer.content.chunks(columns).enumerate() {
        let mut column = 0;
        for run in cells.chunk_by(|left, right| look(left) == look(right)) {
            run_of(&mut svg, run, column * WIDTH, row * HEIGHT);
            column += run.len();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws a run of cells with the same style.
fn run_of(svg: &mut String, run: &[Cell], x: usize, y: usize) {
    let (ink, paper, bold) = look(&run[0]);
    let width = run.len() * WIDTH;
    if paper != PAPER {
        writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{paper}\"/>")
            .unwrap();
    }
    let text: String = run.iter().map(Cell::symbol).collect();
    if text.trim().is_empty() {
        return;
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let bold = if bold { " font-weight=\"bold\"" } else { "" };
    let y = y + 13;
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\" textLength=\"{width}\" fill=\"{ink}\"{bold}>{text}</text>")
        .unwrap();
}

/// Returns ink, paper and whether the style is bold.
fn look(cell: &Cell) -> (&'static str, &'static str, bool) {
    let colour = |colour, default| match colour {
        Color::Reset => default,
        Color::Red => "#f0716b",
        Color::Green => "#7fc77a",
        Color::Yellow => "#e0b354",
        Color::Cyan => "#5fb9c4",
        Color::DarkGray => "#7d838f",
        Color::White => "#ffffff",
        other => panic!("{other}: which colour is that?"),
    };
    let (ink, paper) = (colour(cell.fg, INK), colour(cell.bg, PAPER));
    let bold = cell.modifier.contains(Modifier::BOLD);
    if cell.modifier.contains(Modifier::REVERSED) { (paper, ink, bold) } else { (ink, paper, bold) }
}
