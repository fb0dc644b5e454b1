//! Screen layout: the regions of the screen at a given terminal size.
//!
//! At 100x24 and larger:
//!
//! ```text
//! http://127.0.0.1:8787 › prod                    every 1s · last hour · LIVE      status
//! requests 120/min, 0.4% failed  attempts 152/min, 21% refused  p50/95/99 812ms/2.1s/3s figures
//!  1 Pools  2 Keys  3 Models  4 Events  5 Client keys        4,998 of 5,000 rows    tabs
//! ┌ requests ───── 120 ┐┌ failed ─────── 3 ┐┌ tokens ────── 1.2M ┐
//! │ ▁▂▃▅▇▅▃▂▁▁▂▃▅      ││       ▁  ▁       ││ ▁▂▃▅▇▅▃▂▁▁▂▃▅      │                    charts
//! └────────────────────┘└──────────────────┘└────────────────────┘
//!   KEY        NAME      STATE           REQS▼  FAILED ...                           titles
//!   AIza…0001  first     cooling 42s       120       3 ...                           rows
//! AIza…0001: cooling for 42s: requests: gemini-3.8-flash                             detail
//!  ? help  q quit  / filter  space mark  e enable  d disable                         footer
//! ```
//!
//! From 60x12 the charts have no frames, or are left out. On a smaller terminal only a few summary
//! lines are shown.

use ratatui::layout::{Rect, Size};

/// The regions of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// The whole screen, if it is too small for the list.
    pub tiny: Option<Rect>,
    /// The service and the connection state.
    pub status: Rect,
    /// Rates and latencies.
    pub figures: Rect,
    /// The tabs.
    pub tabs: Rect,
    /// The charts; without frames if they are two lines high.
    pub charts: Rect,
    /// The column titles.
    pub titles: Rect,
    /// The rows.
    pub rows: Rect,
    /// Details of the selected row.
    pub detail: Rect,
    /// Key hints, a notice or the filter input.
    pub footer: Rect,
}

/// Returns the regions for a terminal size.
pub fn regions(size: Size) -> Regions {
    let Size { width, height } = size;
    if width < 60 || height < 12 {
        return Regions { tiny: Some(Rect::new(0, 0, width, height)), ..Regions::default() };
    }
    let charts = match (width, height) {
        (100.., 24..) => 7,
        (_, 18..) => 2,
        _ => 0,
    };
    let line = |y, height| Rect::new(0, y, width, height);
    let detail = u16::from(height >= 18);
    let titles = 3 + charts;
    Regions {
        tiny: None,
        status: line(0, 1),
        figures: line(1, 1),
        tabs: line(2, 1),
        charts: line(3, charts),
        titles: line(titles, 1),
        rows: line(titles + 1, height - titles - 2 - detail),
        detail: line(height - 1 - detail, detail),
        footer: line(height - 1, 1),
    }
}
