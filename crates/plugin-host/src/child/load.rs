//! From a registry's entry to a descriptor: the file is judged, opened, loaded, and asked who it is, in this order.
//! The library is never unloaded.

use std::ffi::{CStr, c_char};
use std::os::fd::AsRawFd;
use std::path::Path;

use etatuki_backend_api::raw;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use semver::Version;

use super::trust;
use crate::error::Refusal;
use crate::spec::{LoadedPlugin, PluginSpec};

/// Loads the library and returns its descriptor, which is valid from now on.
pub(super) fn load(spec: &PluginSpec) -> Result<(LoadedPlugin, &'static raw::Descriptor), Refusal> {
    let file = trust::open(spec)?;
    // By the handle, not by the name: what was judged is what is loaded.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let descriptor = open_named(&name, &spec.path)?;
    // The handle stays open, so that its number keeps meaning this file to the loader.
    std::mem::forget(file);

    let plugin = describe(descriptor)?;
    judge(spec, plugin).map(|plugin| (plugin, descriptor))
}

/// Loads a library without judging who could have written it: for its author, who has.
pub(crate) fn open_library(path: &Path) -> Result<&'static raw::Descriptor, Refusal> {
    let whole = path.canonicalize().map_err(|_| Refusal::Missing {
        path: path.to_owned(),
    })?;
    open_named(&whole.to_string_lossy(), path)
}

fn open_named(name: &str, path: &Path) -> Result<&'static raw::Descriptor, Refusal> {
    // SAFETY: runs foreign code, which is what this process is for.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| load_error(words(&error, name, path)))?;
    descriptor(Box::leak(Box::new(library)))
}

/// The loader's message, with the file's own name.
fn words(error: &libloading::Error, name: &str, path: &Path) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source
        .unwrap_or_else(|| error.to_string())
        .replace(name, &path.display().to_string())
}

fn descriptor(library: &'static Library) -> Result<&'static raw::Descriptor, Refusal> {
    let Some(descriptor) = symbol(library, raw::SYMBOL.to_bytes_with_nul()) else {
        let majors = (0..32).filter(|major| *major != raw::MAJOR);
        let found = majors.into_iter().find(|major| {
            symbol(library, format!("etatuki_backend_v{major}\0").as_bytes()).is_some()
        });
        return Err(Refusal::WrongMajor {
            found,
            wanted: raw::MAJOR,
        });
    };
    // SAFETY: the symbol's name promises that `struct_size` is there.
    let size = unsafe { (&raw const (*descriptor).struct_size).read() } as usize;
    if size < size_of::<raw::Descriptor>() {
        return Err(load_error(format!(
            "the descriptor has {size} bytes, too few for version 1.0"
        )));
    }
    // SAFETY: it is constant, as long as ours or longer, and the library is never unloaded.
    Ok(unsafe { &*descriptor })
}

fn symbol(library: &Library, name: &[u8]) -> Option<*const raw::Descriptor> {
    // SAFETY: only the address is taken; the type is what the symbol's name promises.
    let symbol = unsafe { library.get::<*const raw::Descriptor>(name) }.ok()?;
    Some(*symbol).filter(|address| !address.is_null())
}

pub(crate) fn describe(descriptor: &raw::Descriptor) -> Result<LoadedPlugin, Refusal> {
    let version = text("version", descriptor.version)?;
    let version = Version::parse(&version).map_err(|error| {
        load_error(format!(
            "the plugin's version {version:?} is not semver: {error}"
        ))
    })?;
    Ok(LoadedPlugin {
        id: text("id", descriptor.id)?,
        name: text("name", descriptor.name)?,
        vendor: text("vendor", descriptor.vendor)?,
        version,
        code_form: text("code_form", descriptor.code_form)?,
        capabilities: descriptor.capabilities,
        limits: false,
    })
}

/// Is it the plugin that the registry means?
fn judge(spec: &PluginSpec, plugin: LoadedPlugin) -> Result<LoadedPlugin, Refusal> {
    if plugin.id != spec.id {
        return Err(Refusal::WrongId {
            found: plugin.id,
            wanted: spec.id.clone(),
        });
    }
    if !spec.version.matches(&plugin.version) {
        return Err(Refusal::WrongVersion {
            found: plugin.version,
            wanted: spec.version.clone(),
        });
    }
    if (plugin.capabilities & raw::CAP_OWN_TRANSPORT != 0) != spec.own_transport {
        let text = if spec.own_transport {
            "it has no transport of its own, and the registry says so (`form = \"own\"`)"
        } else {
            "it has a transport of its own; the registry must say so (`form = \"own\"`)"
        };
        return Err(Refusal::Refused {
            text: text.to_owned(),
        });
    }
    if plugin.capabilities & raw::CAP_NETWORK != 0 && !spec.network {
        let text = "it needs the network, and the registry doesn't allow it (`network = true`)";
        return Err(Refusal::Refused {
            text: text.to_owned(),
        });
    }
    if !["remoteus", "ecom", "own"].contains(&plugin.code_form.as_str()) {
        return Err(load_error(format!(
            "the form of the plugin's code is unknown: {:?}",
            plugin.code_form
        )));
    }
    Ok(plugin)
}

/// The longest text of a descriptor, its NUL included.
const ROOM: usize = 128;

/// Reads a text of the descriptor, no further than it may be long.
fn text(field: &str, text: *const c_char) -> Result<String, Refusal> {
    let bad = |reason| load_error(format!("the descriptor's {field} {reason}"));
    if text.is_null() {
        return Err(bad("is null"));
    }
    let mut bytes = Vec::with_capacity(ROOM);
    while bytes.last() != Some(&0) {
        if bytes.len() == ROOM {
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

fn load_error(text: impl Into<String>) -> Refusal {
    Refusal::Load { text: text.into() }
}
