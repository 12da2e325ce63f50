//! Colours, type and spacings of the window, in one place.

use egui::{
    Color32, Context, CornerRadius, FontFamily, FontId, Margin, Rect, Stroke, StrokeKind, TextStyle, Ui, UiBuilder,
    Vec2, vec2,
};

/// Behind everything.
pub(super) const BACKGROUND: Color32 = Color32::from_rgb(0x12, 0x14, 0x18);
/// Of a card.
pub(super) const CARD: Color32 = Color32::from_rgb(0x1a, 0x1d, 0x23);
/// Of wells in a card: meters, curves, fields.
pub(super) const WELL: Color32 = Color32::from_rgb(0x0e, 0x10, 0x13);
/// Of what can be pressed.
pub(super) const RAISED: Color32 = Color32::from_rgb(0x27, 0x2b, 0x33);
/// The same under the pointer.
pub(super) const HOVERED: Color32 = Color32::from_rgb(0x32, 0x38, 0x42);
/// Edges and scales.
pub(super) const LINE: Color32 = Color32::from_rgb(0x2e, 0x33, 0x3c);
/// What is read first.
pub(super) const TEXT: Color32 = Color32::from_rgb(0xdd, 0xe1, 0xe8);
/// What is read second.
pub(super) const DIM: Color32 = Color32::from_rgb(0x8f, 0x97, 0xa5);
/// What does not count now.
pub(super) const FAINT: Color32 = Color32::from_rgb(0x4d, 0x54, 0x60);
/// What is on.
pub(super) const ACCENT: Color32 = Color32::from_rgb(0x4f, 0xd1, 0xc5);
/// What the player added.
pub(super) const HAND: Color32 = Color32::from_rgb(0xf2, 0xb2, 0x63);
/// What went wrong.
pub(super) const ALARM: Color32 = Color32::from_rgb(0xff, 0x7a, 0x6b);

/// Between cards, and around them.
pub(super) const GAP: f32 = 8.0;
/// Inside a card.
pub(super) const PADDING: f32 = 10.0;
/// Height of a card's title.
pub(super) const TITLE: f32 = 20.0;
const CORNER: CornerRadius = CornerRadius::same(6);

/// Dresses a fresh context.
pub(super) fn dress(context: &Context) {
    context.set_theme(egui::Theme::Dark);
    context.all_styles_mut(|style| {
        let font = |size| FontId::new(size, FontFamily::Proportional);
        style.text_styles = [
            (TextStyle::Small, font(10.5)),
            (TextStyle::Body, font(12.5)),
            (TextStyle::Button, font(12.5)),
            (TextStyle::Heading, font(17.0)),
            (TextStyle::Monospace, FontId::new(11.5, FontFamily::Monospace)),
        ]
        .into();
        style.spacing.item_spacing = vec2(6.0, 5.0);
        style.spacing.button_padding = vec2(9.0, 3.0);
        style.spacing.interact_size = vec2(24.0, 22.0);
        style.spacing.menu_margin = Margin::same(6);
        style.interaction.selectable_labels = false;
        style.interaction.tooltip_delay = 0.6;
        style.visuals = visuals();
    });
}

/// A card with a title at `rect`, and `contents` within.
pub(super) fn card<R>(ui: &mut Ui, rect: Rect, title: &str, contents: impl FnOnce(&mut Ui, Rect) -> R) -> R {
    ui.painter().rect_filled(rect, CORNER, CARD);
    let mut inner = rect.shrink(PADDING);
    if !title.is_empty() {
        let at = inner.left_top() - vec2(0.0, 1.0);
        ui.painter().text(at, egui::Align2::LEFT_TOP, title, TextStyle::Small.resolve(ui.style()), DIM);
        inner.min.y += TITLE;
    }
    let builder = UiBuilder::new().id_salt(("card", title, rect.min.x as i32)).max_rect(inner);
    ui.scope_builder(builder, |ui| contents(ui, inner)).inner
}

/// A sunken surface that something is painted on.
pub(super) fn well(ui: &Ui, rect: Rect) {
    ui.painter().rect(rect, CornerRadius::same(4), WELL, Stroke::new(1.0, LINE), StrokeKind::Inside);
}

/// Around what the keyboard turns.
pub(super) fn focus_ring(ui: &Ui, rect: Rect) {
    ui.painter().rect_stroke(rect, CornerRadius::same(4), Stroke::new(1.5, ACCENT), StrokeKind::Inside);
}

/// Where an arrow points.
#[derive(Clone, Copy)]
pub(super) enum Arrow {
    /// Back.
    Left,
    /// On.
    Right,
    /// To what opens below.
    Down,
}

/// A small arrow around `centre`; the fonts have none.
pub(super) fn arrow(ui: &Ui, centre: egui::Pos2, arrow: Arrow, colour: Color32) {
    let points = match arrow {
        Arrow::Left => [vec2(-4.0, 0.0), vec2(3.0, -4.5), vec2(3.0, 4.5)],
        Arrow::Right => [vec2(4.0, 0.0), vec2(-3.0, 4.5), vec2(-3.0, -4.5)],
        Arrow::Down => [vec2(0.0, 3.0), vec2(-4.0, -2.0), vec2(4.0, -2.0)],
    };
    let points = points.map(|offset| centre + offset).to_vec();
    ui.painter().add(egui::Shape::convex_polygon(points, colour, Stroke::NONE));
}

/// The colour of latent `index` of 16: from the accent over blue and violet to rose.
pub(super) fn latent(index: usize) -> Color32 {
    let hue = 0.48 + 0.46 * index as f32 / 15.0;
    egui::ecolor::Hsva::new(hue % 1.0, 0.58, 0.95, 1.0).into()
}

/// The colour of a level in a spectrogram, 0 to 1.
pub(super) fn heat(level: f32) -> Color32 {
    const STOPS: [[f32; 3]; 6] = [
        [14.0, 16.0, 19.0],
        [21.0, 42.0, 61.0],
        [30.0, 98.0, 116.0],
        [79.0, 190.0, 172.0],
        [240.0, 196.0, 120.0],
        [255.0, 246.0, 226.0],
    ];
    let at = level.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let below = (at as usize).min(STOPS.len() - 2);
    let [r, g, b] = std::array::from_fn(|c| {
        let (low, high) = (STOPS[below][c], STOPS[below + 1][c]);
        (low + (high - low) * (at - below as f32)).round() as u8
    });
    Color32::from_rgb(r, g, b)
}

/// Cuts `rect` into columns of these widths with gaps; a last one takes the rest.
pub(super) fn columns<const N: usize>(rect: Rect, widths: [f32; N]) -> [Rect; N] {
    let mut left = rect.left();
    std::array::from_fn(|i| {
        let width = if i + 1 == N { rect.right() - left } else { widths[i] };
        let column = Rect::from_min_size(egui::pos2(left, rect.top()), Vec2::new(width, rect.height()));
        left += width + GAP;
        column
    })
}

/// Cuts `rect` into rows of these heights with gaps; the row of height 0 takes the rest.
pub(super) fn rows<const N: usize>(rect: Rect, heights: [f32; N]) -> [Rect; N] {
    let spare = rect.height() - heights.iter().sum::<f32>() - GAP * (N - 1) as f32;
    let mut top = rect.top();
    heights.map(|height| {
        let height = if height == 0.0 { spare } else { height };
        let row = Rect::from_min_size(egui::pos2(rect.left(), top), Vec2::new(rect.width(), height));
        top += height + GAP;
        row
    })
}

fn visuals() -> egui::Visuals {
    let mut visuals = egui::Visuals::dark();
    visuals.panel_fill = BACKGROUND;
    visuals.window_fill = CARD;
    visuals.window_stroke = Stroke::new(1.0, LINE);
    visuals.extreme_bg_color = WELL;
    visuals.text_edit_bg_color = Some(WELL);
    visuals.weak_text_color = Some(DIM);
    visuals.hyperlink_color = ACCENT;
    visuals.error_fg_color = ALARM;
    visuals.selection.bg_fill = ACCENT.gamma_multiply(0.35);
    visuals.selection.stroke = Stroke::new(1.5, ACCENT);
    visuals.menu_corner_radius = CORNER;
    visuals.window_corner_radius = CORNER;
    let faces = [
        (&mut visuals.widgets.noninteractive, CARD, LINE, TEXT),
        (&mut visuals.widgets.inactive, RAISED, Color32::TRANSPARENT, TEXT),
        (&mut visuals.widgets.hovered, HOVERED, FAINT, Color32::WHITE),
        (&mut visuals.widgets.active, HOVERED, ACCENT, Color32::WHITE),
        (&mut visuals.widgets.open, HOVERED, FAINT, Color32::WHITE),
    ];
    for (face, fill, edge, text) in faces {
        (face.bg_fill, face.weak_bg_fill) = (fill, fill);
        face.bg_stroke = Stroke::new(1.0, edge);
        face.fg_stroke = Stroke::new(1.0, text);
        face.corner_radius = CornerRadius::same(4);
        face.expansion = 0.0;
    }
    visuals
}
