//! A run as a picture: a lane for each server with what was done to it and who led, and below how many writes were acknowledged.
//!
//! SVG, written by hand: rectangles, a line, and the text that shows under the pointer.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::ensemble::Sid;

/// What happened, when, and to whom.
#[derive(Debug)]
pub(super) struct Timeline {
    title: String,
    began: Instant,
    servers: Sid,
    spans: Vec<Span>,
    /// Seconds, and writes acknowledged by then.
    written: Vec<(f64, u64)>,
}

#[derive(Debug)]
struct Span {
    lane: Sid,
    from: f64,
    to: f64,
    text: String,
    /// Whether it is a fault, or a leader.
    is_fault: bool,
}

const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const LANE: f64 = 26.0;
/// Pixels of a second.
const SECOND: f64 = 8.0;
const CURVE: f64 = 120.0;

impl Timeline {
    /// Of a run that begins.
    pub(super) fn new(title: String, servers: Sid) -> Self {
        Self {
            title,
            servers,
            began: Instant::now(),
            spans: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Seconds since the begin.
    pub(super) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A fault, from a moment until now.
    pub(super) fn fault(&mut self, lanes: &[Sid], from: f64, text: &str) {
        let to = self.now();
        let spans = lanes.iter().map(|lane| Span {
            lane: *lane,
            from,
            to,
            text: text.to_owned(),
            is_fault: true,
        });
        self.spans.extend(spans);
    }

    /// Who leads from now on, in which epoch.
    pub(super) fn leads(&mut self, leader: Sid, epoch: u64) {
        let now = self.now();
        let text = format!("leads, epoch {epoch}");
        let last = self.spans.iter_mut().rev().find(|span| !span.is_fault);
        if let Some(last) = last {
            last.to = now;
            if last.lane == leader && last.text == text {
                return;
            }
        }
        self.spans.push(Span {
            lane: leader,
            from: now,
            to: now,
            text,
            is_fault: false,
        });
    }

    /// How many writes have been acknowledged by now.
    pub(super) fn written(&mut self, writes: u64) {
        self.written.push((self.now(), writes));
    }

    /// Writes the picture.
    pub(super) fn draw(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, self.svg())?)
    }

    fn svg(&self) -> String {
        let lanes = f64::from(self.servers) * LANE;
        let width = LEFT + self.now() * SECOND + 20.0;
        let height = TOP + lanes + CURVE + 40.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"18\">{}</text>\n",
            escaped(&self.title)
        );
        for lane in 1..=self.servers {
            let y = TOP + f64::from(lane - 1) * LANE;
            // Writing to a String cannot fail.
            let _ = writeln!(
                svg,
                "<text x=\"8\" y=\"{:.0}\">server {lane}</text>",
                y + 16.0
            );
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{width:.0}\" y1=\"{0:.0}\" y2=\"{0:.0}\" stroke=\"#ddd\"/>",
                y + LANE - 1.0
            );
        }
        for span in &self.spans {
            let (y, h, fill) = if span.is_fault {
                (4.0, 16.0, "#d9534f")
            } else {
                (0.0, 24.0, "#cfe8cf")
            };
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{h}\" fill=\"{fill}\" opacity=\"0.8\">\
                 <title>{:.1} s: {}</title></rect>",
                LEFT + span.from * SECOND,
                TOP + f64::from(span.lane - 1) * LANE + y,
                ((span.to - span.from) * SECOND).max(2.0),
                span.from,
                escaped(&span.text)
            );
        }
        self.curve(&mut svg, TOP + lanes + CURVE);
        svg.push_str("</svg>\n");
        svg
    }

    /// Writes of a second, over time.
    fn curve(&self, svg: &mut String, floor: f64) {
        let rates: Vec<(f64, f64)> = self
            .written
            .windows(2)
            .map(|pair| {
                let (from, to) = (pair[0], pair[1]);
                let writes = to.1.saturating_sub(from.1) as f64;
                (to.0, writes / (to.0 - from.0).max(0.001))
            })
            .collect();
        let most = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
        let points: String = rates
            .iter()
            .map(|(at, rate)| {
                let (x, y) = (LEFT + at * SECOND, floor - rate / most * (CURVE - 20.0));
                format!("{x:.1},{y:.1} ")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"#337ab7\"/>\n\
             <text x=\"8\" y=\"{:.0}\">writes/s</text>\n<text x=\"8\" y=\"{:.0}\">up to {most:.0}</text>",
            floor - 40.0,
            floor - 26.0
        );
        for ten in (0..)
            .map(|n| f64::from(n) * 10.0)
            .take_while(|at| *at <= self.now())
        {
            let x = LEFT + ten * SECOND;
            let _ = writeln!(
                svg,
                "<text x=\"{x:.0}\" y=\"{:.0}\" fill=\"#888\">{ten:.0} s</text>",
                floor + 16.0
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_names_everything_that_was_done() {
        let mut timeline = Timeline::new("a < b".to_owned(), 3);
        timeline.leads(2, 7);
        timeline.written(5);
        timeline.fault(&[1, 3], 0.0, "KillLeader & more");
        timeline.written(9);
        let svg = timeline.svg();
        for part in [
            "a &lt; b",
            "server 3",
            "leads, epoch 7",
            "KillLeader &amp; more",
            "</svg>",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }
}
