//! A chart on a canvas: axes with units, a grid, bars and lines, and a legend beside them.

mod axis;

pub(crate) use axis::Axis;

use crate::canvas::{Canvas, Region};

/// What is drawn in one frame of axes.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Drawn in this order, named in the legend in this order.
    pub(crate) series: Vec<Series>,
}

pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) colour: [u8; 3],
    pub(crate) shape: Shape,
    /// In the units of the axes, by rising x.
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// From the bottom up, each as wide as to the next point or the right edge.
    Bars,
    /// Level from each point to the next, and to the right edge.
    Steps,
    /// Straight from point to point, with a mark at each.
    Line,
    /// Straight and broken, without marks: a limit or a mean.
    Dashes,
}

/// Colours that stand apart on the dark paper, for eyes of every kind (Okabe and Ito).
pub(crate) const PALETTE: [[u8; 3]; 7] =
    [[86, 180, 233], [230, 159, 0], [0, 158, 115], [240, 228, 66], [204, 121, 167], [213, 94, 0], [170, 170, 255]];

const GRID: [u8; 3] = [44, 46, 56];
/// Elements around the frame of axes: for the title, the tick labels, and the legend.
const TOP: usize = 44;
const LEFT: usize = 92;
const RIGHT: usize = 236;
const BOTTOM: usize = 58;
/// Width and height of a character of a label.
const LETTER: (usize, usize) = (9, 18);

impl Chart {
    /// Draws into `area`, labels and all.
    pub(crate) fn draw(&self, canvas: &mut Canvas, area: Region) {
        let frame = Region {
            x: area.x + LEFT,
            y: area.y + TOP,
            width: area.width - LEFT - RIGHT,
            height: area.height - TOP - BOTTOM,
        };
        canvas.title(frame, &self.title);
        self.draw_axes(canvas, frame);
        self.series.iter().for_each(|series| self.draw_series(canvas, frame, series));
        self.draw_legend(canvas, frame);
    }

    fn draw_axes(&self, canvas: &mut Canvas, frame: Region) {
        let (right, bottom) = (frame.x + frame.width, frame.y + frame.height);
        for (value, label) in self.x.ticks() {
            let x = self.column(frame, value);
            canvas.line((x, frame.y), (x, bottom), GRID, 1);
            canvas.tick_below(x, bottom);
            canvas.label_below(x, bottom + 8, &label);
        }
        for (value, label) in self.y.ticks() {
            let y = self.row(frame, value);
            canvas.line((frame.x, y), (right, y), GRID, 1);
            canvas.tick_left_of(frame.x, y);
            canvas.label_left_of(frame.x - 8, y, &label);
        }
        canvas.label_below(frame.x + frame.width / 2, bottom + 8 + LETTER.1 + 4, self.x.title());
        canvas.label_left_of(frame.x - 8, frame.y - 18, self.y.title());
    }

    fn draw_series(&self, canvas: &mut Canvas, frame: Region, series: &Series) {
        let right = frame.x + frame.width;
        let place = |&(x, y): &(f64, f64)| (self.column(frame, x), self.row(frame, y));
        let places: Vec<_> = series.points.iter().map(place).collect();
        let until = |i: usize| places.get(i + 1).map_or(right, |next| next.0);
        match series.shape {
            Shape::Bars => {
                for (i, &(x, y)) in places.iter().enumerate() {
                    // A gap between bars, where they are wide enough to spare it.
                    let width = until(i).saturating_sub(x);
                    let width = if width > 4 { width - 1 } else { width.max(1) };
                    canvas.fill(Region { x, y, width, height: frame.y + frame.height - y }, series.colour);
                }
            }
            Shape::Steps => {
                for (i, &(x, y)) in places.iter().enumerate() {
                    canvas.line((x, y), (until(i), y), series.colour, 2);
                    if let Some(&(next, below)) = places.get(i + 1) {
                        canvas.line((next, y), (next, below), series.colour, 2);
                    }
                }
            }
            Shape::Line => {
                places.windows(2).for_each(|pair| canvas.line(pair[0], pair[1], series.colour, 2));
                for (x, y) in places {
                    canvas.fill(Region { x: x - 4, y: y - 4, width: 9, height: 9 }, series.colour);
                }
            }
            Shape::Dashes => places.windows(2).for_each(|pair| dashes(canvas, pair[0], pair[1], series.colour)),
        }
    }

    fn draw_legend(&self, canvas: &mut Canvas, frame: Region) {
        let x = frame.x + frame.width + 18;
        for (i, series) in self.series.iter().enumerate() {
            let y = frame.y + 10 + i * (LETTER.1 + 6);
            match series.shape {
                Shape::Bars => canvas.fill(Region { x, y: y - 6, width: 22, height: 12 }, series.colour),
                Shape::Dashes => dashes(canvas, (x, y), (x + 22, y), series.colour),
                Shape::Steps | Shape::Line => canvas.line((x, y), (x + 22, y), series.colour, 2),
            }
            if series.shape == Shape::Line {
                canvas.fill(Region { x: x + 7, y: y - 4, width: 9, height: 9 }, series.colour);
            }
            canvas.label_right_of(x + 30, y, &series.name);
        }
    }

    fn column(&self, frame: Region, value: f64) -> usize {
        frame.x + (self.x.place(value) * (frame.width - 1) as f64).round() as usize
    }

    fn row(&self, frame: Region, value: f64) -> usize {
        frame.y + ((1.0 - self.y.place(value)) * (frame.height - 1) as f64).round() as usize
    }
}

fn dashes(canvas: &mut Canvas, from: (usize, usize), to: (usize, usize), colour: [u8; 3]) {
    const PERIOD: f64 = 14.0;
    let (dx, dy) = (to.0 as f64 - from.0 as f64, to.1 as f64 - from.1 as f64);
    let length = dx.hypot(dy).max(1.0);
    let at = |along: f64| {
        let part = (along / length).min(1.0);
        ((from.0 as f64 + dx * part).round() as usize, (from.1 as f64 + dy * part).round() as usize)
    };
    for i in 0..(length / PERIOD).ceil() as usize {
        let start = i as f64 * PERIOD;
        canvas.line(at(start), at(start + 0.6 * PERIOD), colour, 2);
    }
}
