//! The fonts of the machine. FLTK ends the program with a line in English where there are none; the
//! customer gets a sentence and a number instead.

use std::fs;
use std::path::Path;

use fltk::app;

/// Stable name of the failure.
pub(crate) const FONTS_MISSING: &str = "fonts-missing";
/// Its detail, for the integrator.
pub(crate) const NO_FONTS: &str =
    "fontconfig knows no font: install one, such as the package fonts-dejavu-core";

/// The folder of the system's fonts, which fontconfig reads unless it is told otherwise.
const SYSTEM_FONTS: &str = "/usr/share/fonts";
/// Levels of folders in it that are looked through.
const MAX_DEPTH: u32 = 4;
/// Font count of FLTK before it has found any: its own 16 names.
const FLTK_NAMES: i32 = 16;

/// Returns whether there is any font. The display must be there.
pub(crate) fn are_there() -> bool {
    // A list of all fonts takes milliseconds, which the ordinary start doesn't spend.
    let is_ordinary = ["FONTCONFIG_FILE", "FONTCONFIG_PATH", "FONTCONFIG_SYSROOT"]
        .iter()
        .all(|name| std::env::var_os(name).is_none());
    (is_ordinary && holds_font(Path::new(SYSTEM_FONTS), MAX_DEPTH))
        || app::set_fonts("-*") > FLTK_NAMES
}

fn holds_font(folder: &Path, depth: u32) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    let is_font = |path: &&std::path::PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("ttf" | "otf" | "ttc" | "pfb"))
    };
    paths.iter().any(|path| is_font(&path))
        || depth > 1 && paths.iter().any(|path| holds_font(path, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_font_is_found_in_any_folder() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("truetype/dejavu");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("README"), "").unwrap();
        assert!(!holds_font(folder.path(), MAX_DEPTH));
        fs::write(deep.join("DejaVuSans.ttf"), "").unwrap();
        assert!(holds_font(folder.path(), MAX_DEPTH));
        assert!(!holds_font(&folder.path().join("missing"), MAX_DEPTH));
    }
}
