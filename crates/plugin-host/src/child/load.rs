//! Loading: from a registry's entry to a descriptor. The file is opened and checked, then loaded,
//! then its descriptor is compared with the entry. The library is never unloaded.

use std::ffi::{CStr, c_char};
use std::os::fd::AsRawFd;
use std::path::Path;

use etatuki_backend_api::{CodeForm, raw};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use semver::Version;

use super::file_trust;
use crate::error::CallError;
use crate::plugin_spec::{LoadedPlugin, PluginSpec};

/// Loads the library, and returns its descriptor, which stays valid.
pub(super) fn load(
    spec: &PluginSpec,
) -> Result<(LoadedPlugin, &'static raw::Descriptor), CallError> {
    let file = file_trust::open(spec)?;
    // By the handle, not by the name: the checked file is the loaded one.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let descriptor = load_library(&name, &spec.path)?;
    // The handle stays open, so that its number keeps meaning this file to the loader.
    std::mem::forget(file);

    let plugin = describe(descriptor)?;
    check_descriptor(spec, &plugin)?;
    Ok((plugin, descriptor))
}

/// Loads a library without checking who could have written it: for its author.
pub(crate) fn open_library(path: &Path) -> Result<&'static raw::Descriptor, CallError> {
    let absolute = path.canonicalize().map_err(|_| CallError::Missing {
        path: path.to_owned(),
    })?;
    load_library(&absolute.to_string_lossy(), path)
}

fn load_library(name: &str, path: &Path) -> Result<&'static raw::Descriptor, CallError> {
    // SAFETY: runs foreign code, which is what this process is for.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| CallError::load(loader_message(&error, name, path)))?;
    descriptor(Box::leak(Box::new(library)))
}

/// Returns the loader's message, with the file's own path.
fn loader_message(error: &libloading::Error, name: &str, path: &Path) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source
        .unwrap_or_else(|| error.to_string())
        .replace(name, &path.display().to_string())
}

fn descriptor(library: &'static Library) -> Result<&'static raw::Descriptor, CallError> {
    let Some(descriptor) = find_symbol(library, raw::SYMBOL.to_bytes_with_nul()) else {
        let majors = (0..32).filter(|major| *major != raw::MAJOR);
        let found = majors.into_iter().find(|major| {
            find_symbol(library, format!("etatuki_backend_v{major}\0").as_bytes()).is_some()
        });
        return Err(CallError::WrongMajor {
            found,
            wanted: raw::MAJOR,
        });
    };
    // SAFETY: the symbol's name promises that `struct_size` is there.
    let size = unsafe { (&raw const (*descriptor).struct_size).read() } as usize;
    if size < size_of::<raw::Descriptor>() {
        return Err(CallError::load(format!(
            "the descriptor has {size} bytes, too few for version 1.0"
        )));
    }
    // SAFETY: it is constant, as long as ours or longer, and the library is never unloaded.
    Ok(unsafe { &*descriptor })
}

fn find_symbol(library: &Library, name: &[u8]) -> Option<*const raw::Descriptor> {
    // SAFETY: only the address is taken; the type is what the symbol's name promises.
    let symbol = unsafe { library.get::<*const raw::Descriptor>(name) }.ok()?;
    Some(*symbol).filter(|address| !address.is_null())
}

/// Reads the descriptor's texts and bits.
pub(crate) fn describe(descriptor: &raw::Descriptor) -> Result<LoadedPlugin, CallError> {
    let version = read_text("version", descriptor.version)?;
    let version = Version::parse(&version).map_err(|error| {
        CallError::load(format!(
            "the plugin's version {version:?} is not semver: {error}"
        ))
    })?;
    Ok(LoadedPlugin {
        id: read_text("id", descriptor.id)?,
        name: read_text("name", descriptor.name)?,
        vendor: read_text("vendor", descriptor.vendor)?,
        version,
        code_form: read_text("code_form", descriptor.code_form)?,
        capabilities: descriptor.capabilities,
        supports_app_sharing: false,
    })
}

/// Checks that the plugin is the one that the registry means.
fn check_descriptor(spec: &PluginSpec, plugin: &LoadedPlugin) -> Result<(), CallError> {
    if plugin.id != spec.id {
        return Err(CallError::WrongId {
            found: plugin.id.clone(),
            wanted: spec.id.clone(),
        });
    }
    if !spec.version.matches(&plugin.version) {
        return Err(CallError::WrongVersion {
            found: plugin.version.clone(),
            wanted: spec.version.clone(),
        });
    }
    if (plugin.capabilities & raw::CAP_OWN_TRANSPORT != 0) != spec.external_transport {
        let text = if spec.external_transport {
            "it has no transport of its own, and the registry says so (`form = \"own\"`)"
        } else {
            "it has a transport of its own; the registry must say so (`form = \"own\"`)"
        };
        return Err(CallError::refused(text));
    }
    if plugin.capabilities & raw::CAP_NETWORK != 0 && !spec.network {
        let text = "it needs the network, and the registry doesn't allow it (`network = true`)";
        return Err(CallError::refused(text));
    }
    if CodeForm::from_name(&plugin.code_form).is_none() {
        return Err(CallError::load(format!(
            "the form of the plugin's code is unknown: {:?}",
            plugin.code_form
        )));
    }
    if let Some(wanted) = spec
        .code_form
        .as_ref()
        .filter(|form| **form != plugin.code_form)
    {
        return Err(CallError::WrongForm {
            found: plugin.code_form.clone(),
            wanted: wanted.clone(),
        });
    }
    Ok(())
}

/// Longest text of a descriptor, its NUL included.
const MAX_TEXT_BYTES: usize = 128;

/// Reads a text of the descriptor, at most [`MAX_TEXT_BYTES`] of it.
fn read_text(field: &str, text: *const c_char) -> Result<String, CallError> {
    let bad = |reason| CallError::load(format!("the descriptor's {field} {reason}"));
    if text.is_null() {
        return Err(bad("is null"));
    }
    let mut bytes = Vec::with_capacity(MAX_TEXT_BYTES);
    while bytes.last() != Some(&0) {
        if bytes.len() == MAX_TEXT_BYTES {
            return Err(bad("is longer than 127 bytes"));
        }
        // SAFETY: no NUL has come yet, so by the header's terms there is one more byte.
        bytes.push(unsafe { text.add(bytes.len()).read() } as u8);
    }
    let text = CStr::from_bytes_with_nul(&bytes).map_err(|_| bad("has no end"))?;
    match text.to_str() {
        Ok("") => Err(bad("is empty")),
        Ok(text) if text.contains(char::is_control) => Err(bad("is not printable")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(bad("is not UTF-8")),
    }
}
