//! QR codes from half blocks, for a phone or a second machine's camera.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// The text as a QR code; absent if it is too long for one.
pub(crate) fn qr(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, qrcode::EcLevel::L).ok()?;
    // Dark and light are swapped: terminals are mostly dark, scanners want dark modules on light ground.
    let picture =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true).build();
    Some(picture)
}
