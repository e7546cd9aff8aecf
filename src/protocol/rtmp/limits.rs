// SPDX-License-Identifier: MPL-2.0

//! Every budget of the protocol in one place, with its reason.

/// Deepest nesting of AMF values. Real metadata and connect objects nest 4 deep at the most; a
/// hostile peer nests 10^5 deep to exhaust the stack.
pub const AMF_DEPTH: usize = 32;

/// Most AMF values, properties included, in one message: key-frame indexes in `onMetaData` of long
/// recordings hold two arrays of some ten thousand numbers.
pub const AMF_ELEMENTS: usize = 1 << 18;

/// Longest location, in bytes: its parts travel in AMF0 strings, whose length has 16 bits.
pub const URL_LENGTH: usize = 0xffff;
