//! The watch over the peer of one connection: is somebody there?

use std::time::Duration;

use etatuki_protocol::{PeerClock, SILENCE_LIMIT};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::connection::LinkConnection;

/// A monotonic clock that also runs while the machine sleeps (CLOCK_BOOTTIME). `Instant` stands
/// still then on Linux: after a night a laptop would believe that its peer was heard a second ago.
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    started: Duration,
}

impl BootClock {
    /// Returns a clock that is at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: since_boot(),
        }
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        since_boot().saturating_sub(self.started)
    }

    /// Returns when a timer is to wake for the moment `due`. A timer stands still while the machine
    /// sleeps, so whoever waits for minutes looks at the clock now and then.
    #[must_use]
    pub fn instant(&self, due: Duration) -> Instant {
        Instant::now() + due.saturating_sub(self.elapsed())
    }
}

fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The watch over the peer of one connection. Once the peer has been silent for
/// [`SILENCE_LIMIT`], it stays so, whatever arrives: what comes after a stop of this process is
/// as old as the stop was long.
#[derive(Debug)]
pub struct PeerWatch {
    clock: BootClock,
    peer: PeerClock,
    /// STREAM frames that had arrived at the last look.
    frames: u64,
    looked_at: Duration,
    silent: bool,
}

impl PeerWatch {
    /// Begins to watch the peer of a connection that was established just now.
    #[must_use]
    pub fn new(clock: BootClock, connection: &LinkConnection) -> Self {
        let now = clock.elapsed();
        Self {
            clock,
            peer: PeerClock::new(now),
            frames: connection.stream_frames_received(),
            looked_at: now,
            silent: false,
        }
    }

    /// Notes that a message has arrived. Returns false if it came after the silence began: it is
    /// too late, and counts no longer.
    pub fn heard(&mut self) -> bool {
        let now = self.clock.elapsed();
        self.silent |= self.peer.is_silent(now);
        if !self.silent {
            self.peer.heard(now);
        }
        !self.silent
    }

    /// Looks whether the peer is silent. To be called with each heartbeat: a part of a long message
    /// counts as if it had come right after the last look, and only if this process didn't stop in
    /// between.
    pub fn look(&mut self, connection: &LinkConnection) -> bool {
        let now = self.clock.elapsed();
        let frames = connection.stream_frames_received();
        let stopped = now.saturating_sub(self.looked_at) >= SILENCE_LIMIT;
        if frames != self.frames && !stopped && !self.silent {
            self.peer.heard(self.looked_at);
        }
        (self.frames, self.looked_at) = (frames, now);
        self.silent |= self.peer.is_silent(now);
        self.silent
    }

    /// Returns when [`look`](Self::look) may find that the peer is silent.
    #[must_use]
    pub fn silent_at(&self) -> Instant {
        self.clock.instant(self.peer.silent_at())
    }

    /// Returns since when, by the clock, a link that is found broken now is interrupted.
    #[must_use]
    pub fn interrupted_since(&self) -> Duration {
        self.peer.interrupted_since(self.clock.elapsed())
    }
}
