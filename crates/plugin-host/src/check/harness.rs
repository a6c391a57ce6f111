//! Test harness of one trial: the loaded plugin, with a host that records its calls.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use etatuki_backend_api::{CodeForm, raw, text};

use super::instance::Instance;
use super::outcome::{Outcome, Stop, ensure, failed, skipped, status_name};
use super::recording_host::RecordingHost;
use crate::child::{describe, open_library};
use crate::error::HostError;
use crate::plugin_spec::LoadedPlugin;

/// The library under test, not loaded yet.
#[derive(Clone)]
pub(super) struct Library {
    path: PathBuf,
    options: String,
    network: bool,
}

impl Library {
    /// Returns a library that isn't loaded yet. With `network`, the plugin may use the network.
    pub(super) fn new(path: &Path, options: String, network: bool) -> Self {
        Self {
            path: path.to_owned(),
            options,
            network,
        }
    }

    /// Loads the library; it is never unloaded.
    pub(super) fn load(&self) -> Outcome<&'static raw::Descriptor> {
        open_library(&self.path).map_err(|error| Stop::Failed(HostError::from(error).to_string()))
    }

    /// Loads the library and reads its descriptor. Skips a plugin that asks for more than the
    /// registry gives: the plugin host makes no instance of it.
    pub(super) fn harness(&self) -> Outcome<Harness> {
        let harness = self.described()?;
        if harness.lacks_network {
            return skipped("it asks for the network (NETWORK): try it with --network");
        }
        Ok(harness)
    }

    /// Loads the library and reads its descriptor, whatever that asks for.
    pub(super) fn described(&self) -> Outcome<Harness> {
        let descriptor = self.load()?;
        let about = describe(descriptor)
            .map_err(|error| Stop::Failed(HostError::from(error).to_string()))?;
        Ok(Harness {
            lacks_network: about.capabilities & raw::CAP_NETWORK != 0 && !self.network,
            descriptor,
            about,
            host: RecordingHost::leak(self.options.clone(), size_of::<raw::Host>() as u32),
        })
    }
}

/// A loaded plugin, and the host that it is given.
pub(super) struct Harness {
    pub(super) descriptor: &'static raw::Descriptor,
    pub(super) about: LoadedPlugin,
    /// True when the plugin asks for the network and doesn't get it.
    pub(super) lacks_network: bool,
    pub(super) host: &'static RecordingHost,
}

impl Harness {
    pub(super) fn has(&self, capability: u64) -> bool {
        self.about.capabilities & capability != 0
    }

    /// Returns a session code in the plugin's form.
    pub(super) fn code(&self) -> CString {
        let code = match CodeForm::from_name(&self.about.code_form) {
            Some(CodeForm::IdAndPassword) => "123456782 123456",
            _ => "123456789013",
        };
        CString::new(code).expect("digits have no NUL")
    }

    /// Calls `create` with these arguments, unchecked.
    pub(super) fn create_raw(
        &self,
        host: *const raw::Host,
        out: *mut *const raw::Instance,
    ) -> Outcome<i32> {
        let Some(create) = self.descriptor.create else {
            return failed("the descriptor's function create is null");
        };
        // SAFETY: arguments that the contract allows, or for which it defines an error.
        Ok(unsafe { create(host, out) })
    }

    /// Makes an instance, and checks that it is complete.
    pub(super) fn create(&self) -> Outcome<Instance> {
        let mut out = std::ptr::null();
        let status = self.create_raw(self.host.as_raw(), &raw mut out)?;
        ensure(status == raw::OK, || {
            format!("create returned {}", status_name(status))
        })?;
        ensure(!out.is_null(), || {
            "create returned 0 and gave no instance".into()
        })?;
        // SAFETY: not null; the first field is always there.
        let size = unsafe { (&raw const (*out).struct_size).read() } as usize;
        ensure(size >= size_of::<raw::Instance>(), || {
            format!(
                "the instance's struct_size is {size}; version 1 has {}",
                size_of::<raw::Instance>()
            )
        })?;
        // SAFETY: as long as ours, or longer; a table of functions may be copied.
        let table = unsafe { *out };
        Instance::new(out, table)
    }

    /// Makes an instance; skips the trial when the backend can't be used on this machine.
    pub(super) fn usable(&self) -> Outcome<Instance> {
        let instance = self.create()?;
        match text::read_several(|[tool, version]| instance.probe(tool, version)) {
            Ok(_) => Ok(instance),
            Err(raw::E_UNUSABLE) => skipped(format!(
                "the backend can't be used on this machine: {}",
                instance.failure().2
            )),
            Err(status) => failed(format!("probe returned {}", status_name(status))),
        }
    }

    /// Makes an instance and opens it, up to WAITING.
    pub(super) fn waiting(&self) -> Outcome<Instance> {
        let instance = self.usable()?;
        instance.open_to_waiting(&self.code())?;
        Ok(instance)
    }
}
