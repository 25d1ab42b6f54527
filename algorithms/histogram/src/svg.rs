//! Draws the picture. The same histogram gives the same bytes.

use crate::bins::{round_step, Histogram};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 52.0;
const PANEL: f64 = 170.0;
const GAP: f64 = 34.0;
const BOTTOM: f64 = 78.0;
const TICK: f64 = 11.0;

pub fn draw(histogram: &Histogram, title: &str, axis: &str, minimum_count: u64) -> String {
    let panels = histogram.panels.len() as f64;
    let height = TOP + panels * PANEL + (panels - 1.0) * GAP + BOTTOM;
    let bar = (WIDTH - LEFT - RIGHT) / histogram.bins() as f64;
    let tallest = histogram.panels.iter().flat_map(|panel| &panel.counts).copied().max().unwrap_or(1);
    let count_step = round_step(tallest as f64 / 4.0).max(1.0).ceil();
    let count_end = (tallest as f64 / count_step).ceil() * count_step;

    let mut svg = String::new();
    // Writing to a string cannot fail.
    macro_rules! line {
        ($($part:tt)*) => {{ let _ = writeln!(svg, $($part)*); }};
    }
    line!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12" fill="#333">"##
    );
    line!(r##"<rect width="100%" height="100%" fill="#fff"/>"##);
    line!(r#"<text x="{LEFT}" y="26" font-size="16" font-weight="bold">{}</text>"#, escaped(title));
    for (number, panel) in histogram.panels.iter().enumerate() {
        let top = TOP + number as f64 * (PANEL + GAP);
        let base = top + PANEL;
        let rows: u64 = panel.counts.iter().sum();
        if !panel.group.is_empty() {
            let group = escaped(&panel.group);
            line!(r#"<text x="{LEFT}" y="{:.1}" font-weight="bold">{group} ({rows} rows shown)</text>"#, top - 6.0);
        }
        let mut tick = 0.0;
        while tick <= count_end {
            let y = base - tick / count_end * PANEL;
            line!(r##"<path d="M{LEFT} {y:.1}H{:.1}" stroke="#ddd"/>"##, WIDTH - RIGHT);
            line!(
                r#"<text x="{:.1}" y="{:.1}" font-size="{TICK}" text-anchor="end">{tick}</text>"#,
                LEFT - 6.0,
                y + 4.0
            );
            tick += count_step;
        }
        for (bin, &count) in panel.counts.iter().enumerate().filter(|(_, &count)| count > 0) {
            let tall = count as f64 / count_end * PANEL;
            let (from, to) = (border(histogram, bin), border(histogram, bin + 1));
            line!(
                r##"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{tall:.1}" fill="#3b6ea5"><title>{from} to {to}: {count} rows</title></rect>"##,
                LEFT + bin as f64 * bar + 0.5,
                base - tall,
                bar - 1.0
            );
        }
        line!(r##"<path d="M{LEFT} {base:.1}H{:.1}" stroke="#333"/>"##, WIDTH - RIGHT);
        line!(
            r#"<text transform="translate(18 {:.1}) rotate(-90)" text-anchor="middle">rows</text>"#,
            top + PANEL / 2.0
        );
    }
    // Borders are labelled below the last panel, only as many as fit without overlap.
    let base = height - BOTTOM;
    let longest = (0..=histogram.bins()).map(|bin| border(histogram, bin).len()).max().unwrap_or(1);
    let every = ((longest as f64 * 0.62 * TICK + 10.0) / bar).ceil().max(1.0) as usize;
    for bin in (0..=histogram.bins()).step_by(every) {
        let x = LEFT + bin as f64 * bar;
        line!(r##"<path d="M{x:.1} {base:.1}v5" stroke="#333"/>"##);
        let label = border(histogram, bin);
        line!(r#"<text x="{x:.1}" y="{:.1}" font-size="{TICK}" text-anchor="middle">{label}</text>"#, base + 18.0);
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    line!(r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>"#, base + 40.0, escaped(axis));
    line!(
        r##"<text x="{LEFT}" y="{:.1}" font-size="{TICK}" fill="#777">Bars of fewer than {minimum_count} rows are not drawn.</text>"##,
        height - 12.0
    );
    line!("</svg>");
    svg
}

/// The lower border of a bin, with as many decimals as the step has.
fn border(histogram: &Histogram, bin: usize) -> String {
    let value = histogram.start + bin as f64 * histogram.step;
    let size = histogram.step.log10().floor();
    if !(-6.0..15.0).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole = |decimals: usize| {
        let scaled = histogram.step * 10_f64.powi(decimals as i32);
        (scaled - scaled.round()).abs() < 1e-6
    };
    let decimals = (0..=8).find(|&decimals| whole(decimals)).unwrap_or(8);
    let text = format!("{value:.decimals$}");
    // A subtraction can give a negative zero.
    if text.trim_start_matches('-').chars().all(|digit| digit == '0' || digit == '.') {
        return text.trim_start_matches('-').to_owned();
    }
    text
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML cannot represent other control characters.
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(escaped("<script>&\"\u{0}"), "&lt;script&gt;&amp;&quot; ");
    }

    #[test]
    fn borders_have_the_decimals_they_need() {
        let borders = |start, step| {
            let histogram = Histogram { start, step, panels: Vec::new() };
            [0, 1, 2].map(|bin| border(&histogram, bin))
        };
        assert_eq!(borders(-0.5, 0.25), ["-0.50", "-0.25", "0.00"]);
        assert_eq!(borders(2800.0, 200.0), ["2800", "3000", "3200"]);
        assert_eq!(borders(-0.3, 0.1)[2], "-0.1");
    }
}
