//! The desktop's autostart entry (freedesktop.org, Desktop Application Autostart Specification and
//! Desktop Entry Specification): one file that starts one command at the next login of this user.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::file_store::remove;

/// The most bytes of the command line of an entry; the longest path has 4 KiB.
const MAX_COMMAND: usize = 16 << 10;

/// An autostart entry.
#[derive(Clone, Debug)]
pub struct AutostartEntry {
    file: PathBuf,
}

/// The reason why there is no autostart entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A word of the command can't stand in an entry: it isn't text of one line, or too long.
    #[error("the command can't be written into an autostart entry")]
    Command,
    /// The file can't be written.
    #[error("the autostart entry can't be written: {0}")]
    Io(#[from] io::Error),
}

impl AutostartEntry {
    /// Names the entry at `file`, which needn't exist.
    #[must_use]
    pub const fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Returns the entry's file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes the entry to the disk itself: at the next login the desktop runs `command`, a program
    /// by its absolute path and its arguments.
    ///
    /// # Errors
    /// See [`EntryError`]. Nothing is left behind then.
    pub fn write(&self, name: &str, command: &[&str]) -> Result<(), EntryError> {
        let text = entry(name, command).ok_or(EntryError::Command)?;
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let fresh = self.file.with_extension("new");
        remove(&fresh)?;
        let written = write_new(&fresh, &text).and_then(|()| fs::rename(&fresh, &self.file));
        if written.is_err() {
            let _ = remove(&fresh);
        }
        written?;
        File::open(folder)?.sync_all()?;
        Ok(())
    }

    /// Removes the entry. Returns whether there was one: of several callers at once only one gets
    /// true.
    ///
    /// # Errors
    /// The entry is there and can't be removed.
    pub fn remove(&self) -> io::Result<bool> {
        match fs::remove_file(&self.file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Returns the text of an entry; `None` if a word can't stand in one.
fn entry(name: &str, command: &[&str]) -> Option<String> {
    let is_line = |word: &str| !word.chars().any(char::is_control);
    if !is_line(name) || command.is_empty() || !command.iter().all(|word| is_line(word)) {
        return None;
    }
    let words: Vec<_> = command.iter().map(|word| quote(word)).collect();
    let exec = words.join(" ");
    let name = name.replace('\\', r"\\");
    (exec.len() <= MAX_COMMAND).then(|| {
        format!(
            "[Desktop Entry]\nType=Application\nName={name}\nExec={exec}\nTerminal=false\n\
             NoDisplay=true\nX-GNOME-Autostart-enabled=true\n"
        )
    })
}

/// Quotes an argument of the key `Exec`: inside of double quotes `"`, backtick, `$` and `\` are
/// escaped by a backslash, and `%` is doubled. Then the value is a string, in which each backslash
/// is doubled.
fn quote(word: &str) -> String {
    let mut quoted = String::from("\"");
    for character in word.chars() {
        match character {
            '\\' => quoted.push_str(r"\\\\"),
            '"' | '`' | '$' => quoted.extend([r"\\", &character.to_string()]),
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_starts_one_command_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let entry = AutostartEntry::new(folder.path().join("autostart/etatuki-restart.desktop"));
        assert!(!entry.remove().unwrap());
        entry
            .write("Etätuki", &["/opt/etatuki", "come-back"])
            .unwrap();
        let text = fs::read_to_string(entry.file()).unwrap();
        let expected = "[Desktop Entry]\nType=Application\nName=Etätuki\n\
             Exec=\"/opt/etatuki\" \"come-back\"\nTerminal=false\nNoDisplay=true\n\
             X-GNOME-Autostart-enabled=true\n";
        assert_eq!(text, expected);
        assert!(entry.remove().unwrap());
        assert!(!entry.remove().unwrap());
        let left = fs::read_dir(folder.path().join("autostart")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn words_of_two_lines_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let entry = AutostartEntry::new(folder.path().join("entry.desktop"));
        for command in [&["/opt/a\nExec=x"][..], &["/opt/a", "\r"], &["\0"], &[]] {
            let written = entry.write("Etätuki", command);
            assert!(matches!(written, Err(EntryError::Command)), "{command:?}");
        }
        let named = entry.write("Etätuki\nExec=x", &["/opt/a"]);
        assert!(matches!(named, Err(EntryError::Command)));
        assert!(!entry.file().exists());
    }

    /// Reads a command line as the specification says: the reverse of [`quote`].
    fn unquote(exec: &str) -> Vec<String> {
        let mut words = Vec::new();
        // The value's escapes first.
        let exec = exec.replace(r"\\", r"\");
        let mut characters = exec.chars();
        while characters.any(|character| character == '"') {
            let mut word = String::new();
            while let Some(character) = characters.next() {
                match character {
                    '"' => break,
                    '\\' => word.extend(characters.next()),
                    '%' => {
                        assert_eq!(characters.next(), Some('%'));
                        word.push('%');
                    }
                    other => word.push(other),
                }
            }
            words.push(word);
        }
        words
    }

    proptest! {
        #[test]
        fn every_command_comes_back_as_it_was(
            words in prop::collection::vec(r#"[ -~åäö€]{0,20}"#, 1..5)
        ) {
            let command: Vec<_> = words.iter().map(String::as_str).collect();
            let text = entry("Etätuki", &command).unwrap();
            let exec = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
            prop_assert_eq!(unquote(exec), words);
        }
    }

    /// GLib's own reader of entries runs a command with every character that is special somewhere.
    #[test]
    fn glib_runs_the_command_with_its_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let (entry, out) = (folder.path().join("e.desktop"), folder.path().join("out"));
        let awkward = r#"a "b" $HOME `id` \n %f % ; & ö"#;
        let script = "printf '%s' \"$1\" > \"$2.new\"; mv \"$2.new\" \"$2\"";
        let out_text = out.to_str().unwrap();
        let command = ["/bin/sh", "-c", script, "sh", awkward, out_text];
        AutostartEntry::new(entry.clone())
            .write("Etätuki", &command)
            .unwrap();
        let launched = Command::new("gio").arg("launch").arg(&entry).output();
        let Ok(launched) = launched else {
            println!("no gio: not tried");
            return;
        };
        assert!(launched.status.success(), "{launched:?}");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !out.exists() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(fs::read_to_string(&out).unwrap(), awkward);
    }
}
