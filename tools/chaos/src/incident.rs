//! Everything that happens to a session, each with what must become of it.

use std::time::Duration;

use anyhow::Result;
use etatuki_testkit::lab::{Line as NetworkLine, Side};
use rustix::process::Signal;

use crate::bed::{Bed, LinkPath, Relays, signal_program};
use crate::line_process::LineProcess;

/// Something that happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    /// A cable is out for some seconds.
    Cable(Side, u64),
    /// A cable is out until both ends have given up, two minutes after they noticed.
    CableForGood(Side),
    /// One end ends the session while the other one's cable is out, for some seconds.
    EndsMeanwhile(Side, u64),
    /// A host has another address, at once.
    Address(Side),
    /// A host has another address after its cable was out for some seconds: a laptop was carried.
    Carried(Side, u64),
    /// A router forgets its connections.
    NatFlush(Side),
    /// The service is killed, and another is there after some seconds.
    RelayKilled(u64),
    /// The service is killed, and there is no other than the one whose relay sessions name, too.
    RelayGone,
    /// The service is ended, as its operator does it, and started again at once.
    ServiceRestarted,
    /// The service is killed while a cable is out; both are back at the same time.
    RelayKilledAndCable(Side, u64),
    /// The launcher doesn't run for some seconds.
    LauncherStopped(u64),
    /// The console doesn't run for some seconds.
    ConsoleStopped(u64),
    /// The customer's line has 80 ms and loses 5 %, for some seconds.
    LossyLine(u64),
    /// A cable is out for some seconds, on such a line.
    LossyLineAndCable(u64),
}

/// The state that a session must be in, some time after an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It goes on, interrupted or not.
    GoesOn,
    /// Both ends say that it is interrupted, and it goes on.
    Resumes,
    /// Both ends say that the link is lost, and end.
    IsLost,
    /// Both ends have closed the session, the second one as soon as it can know.
    Ends,
}

/// The programs of both ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) customer: LineProcess,
    pub(crate) agent: LineProcess,
}

/// A line with 80 ms round trip that loses every twentieth packet.
const LOSSY: NetworkLine = NetworkLine {
    delay: Duration::from_millis(40),
    loss_percent: 5.0,
    kbit_per_second: 0,
};

impl Incident {
    /// Returns the words for the report.
    pub(crate) fn name(self) -> String {
        let whose = |side| match side {
            Side::Customer => "customer's",
            Side::Agent => "agent's",
        };
        match self {
            Self::Cable(side, seconds) => format!("{} cable out {seconds} s", whose(side)),
            Self::CableForGood(side) => format!("{} cable out 2 min and more", whose(side)),
            Self::EndsMeanwhile(side, seconds) => {
                let other = whose(other(side));
                format!("{other} cable out {seconds} s, the other ends")
            }
            Self::Address(side) => format!("{} address changed", whose(side)),
            Self::Carried(side, seconds) => {
                format!("{} cable out {seconds} s, new address", whose(side))
            }
            Self::NatFlush(side) => format!("{} NAT table flushed", whose(side)),
            Self::RelayKilled(seconds) => format!("relay killed, back after {seconds} s"),
            Self::RelayGone => "relay killed, another is left".to_owned(),
            Self::ServiceRestarted => "service restarted".to_owned(),
            Self::RelayKilledAndCable(side, seconds) => {
                format!("relay killed, {} cable out {seconds} s", whose(side))
            }
            Self::LauncherStopped(seconds) => format!("launcher stopped {seconds} s"),
            Self::ConsoleStopped(seconds) => format!("console stopped {seconds} s"),
            Self::LossyLine(seconds) => format!("5 % loss at 80 ms, {seconds} s"),
            Self::LossyLineAndCable(seconds) => {
                format!("5 % loss at 80 ms, cable out {seconds} s")
            }
        }
    }

    pub(crate) fn expectation(self, path: LinkPath) -> Expectation {
        match self {
            Self::Cable(_, seconds) | Self::Carried(_, seconds) if seconds <= 4 => {
                Expectation::GoesOn
            }
            Self::RelayKilled(seconds) if path == LinkPath::Direct || seconds <= 4 => {
                Expectation::GoesOn
            }
            Self::Address(_) | Self::NatFlush(_) | Self::ServiceRestarted | Self::LossyLine(_) => {
                Expectation::GoesOn
            }
            Self::RelayGone if path == LinkPath::Direct => Expectation::GoesOn,
            Self::CableForGood(_) => Expectation::IsLost,
            Self::EndsMeanwhile(..) => Expectation::Ends,
            Self::Cable(..)
            | Self::Carried(..)
            | Self::RelayKilled(_)
            | Self::RelayGone
            | Self::RelayKilledAndCable(..)
            | Self::LauncherStopped(_)
            | Self::ConsoleStopped(_)
            | Self::LossyLineAndCable(_) => Expectation::Resumes,
        }
    }

    /// Returns the relays that sessions have to name.
    pub(crate) fn relays(self) -> Relays {
        match self {
            Self::RelayGone => Relays::Two,
            _ => Relays::One,
        }
    }

    /// Returns the customer's line, where it matters.
    pub(crate) fn line(self) -> Option<NetworkLine> {
        match self {
            Self::LossyLine(_) | Self::LossyLineAndCable(_) => Some(NetworkLine::default()),
            _ => None,
        }
    }

    /// Returns the time from [`begin`](Self::begin) to [`end`](Self::end); `None` if only the
    /// session's end ends it.
    pub(crate) fn duration(self) -> Option<Duration> {
        match self {
            Self::Cable(_, seconds)
            | Self::EndsMeanwhile(_, seconds)
            | Self::Carried(_, seconds)
            | Self::RelayKilled(seconds)
            | Self::RelayKilledAndCable(_, seconds)
            | Self::LauncherStopped(seconds)
            | Self::ConsoleStopped(seconds)
            | Self::LossyLine(seconds)
            | Self::LossyLineAndCable(seconds) => Some(Duration::from_secs(seconds)),
            Self::Address(_) | Self::NatFlush(_) | Self::RelayGone | Self::ServiceRestarted => {
                Some(Duration::ZERO)
            }
            Self::CableForGood(_) => None,
        }
    }

    /// Returns the end that ends the session meanwhile.
    pub(crate) fn ending(self) -> Option<Side> {
        match self {
            Self::EndsMeanwhile(side, _) => Some(side),
            _ => None,
        }
    }

    /// Returns the session's end that can't say anything meanwhile.
    pub(crate) fn silenced(self) -> Option<Side> {
        match self {
            Self::LauncherStopped(_) => Some(Side::Customer),
            Self::ConsoleStopped(_) => Some(Side::Agent),
            _ => None,
        }
    }

    pub(crate) fn begin(self, bed: &mut Bed, ends: &Ends) -> Result<()> {
        match self {
            Self::Cable(side, _) | Self::CableForGood(side) | Self::Carried(side, _) => {
                bed.lab.cut_cable(side);
            }
            Self::EndsMeanwhile(side, _) => bed.lab.cut_cable(other(side)),
            Self::Address(side) => bed.lab.change_address(side),
            Self::NatFlush(side) => bed.lab.flush_nat(side),
            Self::RelayKilled(_) | Self::RelayGone => bed.end_service(Signal::KILL)?,
            Self::ServiceRestarted => {
                bed.end_service(Signal::TERM)?;
                bed.start_service()?;
            }
            Self::RelayKilledAndCable(side, _) => {
                bed.lab.cut_cable(side);
                bed.end_service(Signal::KILL)?;
            }
            Self::LauncherStopped(_) => signal_program(&ends.customer.process, Signal::STOP)?,
            Self::ConsoleStopped(_) => signal_program(&ends.agent.process, Signal::STOP)?,
            Self::LossyLine(_) => bed.lab.set_line(Side::Customer, LOSSY),
            Self::LossyLineAndCable(_) => {
                bed.lab.set_line(Side::Customer, LOSSY);
                bed.lab.cut_cable(Side::Customer);
            }
        }
        Ok(())
    }

    pub(crate) fn end(self, bed: &mut Bed, ends: &Ends) -> Result<()> {
        match self {
            Self::Cable(side, _) | Self::CableForGood(side) => bed.lab.mend_cable(side),
            Self::EndsMeanwhile(side, _) => bed.lab.mend_cable(other(side)),
            Self::Carried(side, _) => {
                bed.lab.mend_cable(side);
                bed.lab.change_address(side);
            }
            Self::RelayKilled(_) => bed.start_service()?,
            Self::RelayKilledAndCable(side, _) => {
                bed.start_service()?;
                bed.lab.mend_cable(side);
            }
            Self::LauncherStopped(_) => signal_program(&ends.customer.process, Signal::CONT)?,
            Self::ConsoleStopped(_) => signal_program(&ends.agent.process, Signal::CONT)?,
            Self::LossyLineAndCable(_) => bed.lab.mend_cable(Side::Customer),
            // The loss stays, so that what comes next is seen through it.
            Self::LossyLine(_)
            | Self::RelayGone
            | Self::Address(_)
            | Self::NatFlush(_)
            | Self::ServiceRestarted => {}
        }
        Ok(())
    }
}

const fn other(side: Side) -> Side {
    match side {
        Side::Customer => Side::Agent,
        Side::Agent => Side::Customer,
    }
}
