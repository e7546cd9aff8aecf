// SPDX-License-Identifier: MPL-2.0

//! What both sides say about Enhanced RTMP when they connect: `fourCcList` of v1, and
//! `videoFourCcInfoMap`, `audioFourCcInfoMap` and `capsEx` of v2 ("Enhancing NetConnection connect
//! Command").

use crate::protocol::{
    flv::{
        Needs,
        codec::{AudioCodec, VideoCodec},
        head::{Codec, FourCc},
    },
    rtmp::amf::{Object, Value},
};

/// `FourCcInfoMask`.
const CAN_DECODE: u8 = 1;
const CAN_ENCODE: u8 = 2;
const CAN_FORWARD: u8 = 4;

/// `CapsExMask`.
const RECONNECT: u8 = 1;
const MULTITRACK: u8 = 2;
const MOD_EX: u8 = 4;
const NANO_OFFSET: u8 = 8;

/// Stands for every codec.
const ANY: &str = "*";

/// Names that are read of one list or map. There are twelve, and a peer may invent others.
const READ: usize = 64;
/// Of these, as many as a person can bear to read.
const SHOWN: usize = 12;

/// What one side has said of itself. The default has said nothing, as all did before there was
/// Enhanced RTMP, and most servers that take it still do: SRS, nginx-rtmp, ffmpeg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    video: Codecs,
    audio: Codecs,
    /// `CapsExMask`, where it said so.
    extended: Option<u8>,
}

/// Codecs of one kind, and a `FourCcInfoMask` of each. Nothing was said where it is empty: nobody
/// who means to refuse all codecs goes to the length of an empty list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Codecs {
    /// Of all of them.
    any: u8,
    each: Vec<(FourCc, u8)>,
}

/// What a server must have said for a stream to be sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nothing. What it says is not looked at.
    Nothing,
    /// If it names codecs, those of the stream must be among them; if it is silent, so be it.
    #[default]
    NoRefusal,
    /// It must have named them.
    Consent,
}

/// What a server lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// It named others.
    #[error("the server does not take {codec}, which this stream has, but {takes}")]
    Codec {
        /// The codec.
        codec: FourCc,
        /// What it takes, for people.
        takes: String,
    },
    /// It says that it does not know of tracks.
    #[error("the server does not take several tracks, which this stream has")]
    Multitrack,
    /// It says that it cannot read modified heads.
    #[error("the server does not take timestamps with nanoseconds (ModEx), which this stream has")]
    ModEx,
    /// It said nothing, and [`Demand::Consent`] was asked for.
    #[error("the server does not say that it takes {0}, which this stream has")]
    Consent(FourCc),
}

impl Capabilities {
    /// Of somebody who hands on whatever comes.
    pub fn all() -> Self {
        let any = || Codecs {
            any: CAN_FORWARD,
            each: Vec::new(),
        };
        Self {
            video: any(),
            audio: any(),
            extended: Some(MULTITRACK | MOD_EX | NANO_OFFSET),
        }
    }

    /// Of somebody who takes these codecs, with tracks and nanoseconds.
    pub fn receiver(codecs: impl IntoIterator<Item = FourCc>) -> Self {
        let mut all = Self {
            extended: Some(MULTITRACK | MOD_EX | NANO_OFFSET),
            ..Self::default()
        };
        for codec in codecs {
            all.add(codec, CAN_FORWARD);
        }
        all
    }

    /// Of somebody who sends a stream that needs this. Nothing is said of one that needs nothing: there
    /// are servers that refuse what they do not know (Restream).
    pub fn sender(needs: &Needs) -> Self {
        let mut all = Self::default();
        for codec in needs.video.iter().chain(&needs.audio) {
            all.add(*codec, CAN_ENCODE);
        }
        let tracks = if needs.multitrack { MULTITRACK } else { 0 };
        let times = if needs.mod_ex {
            MOD_EX | NANO_OFFSET
        } else {
            0
        };
        all.extended = Some(tracks | times).filter(|_| !needs.is_empty());
        all
    }

    /// Says as well, where anything is said, whether a `ReconnectRequest` is followed.
    #[must_use]
    pub fn with_reconnect(mut self, follows: bool) -> Self {
        if follows && !self.is_silent() {
            *self.extended.get_or_insert(0) |= RECONNECT;
        }
        self
    }

    /// Whether nothing was said.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what somebody else can do, behind the same door.
    pub fn merge(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.video, &other.video),
            (&mut self.audio, &other.audio),
        ] {
            own.any |= others.any;
            for (codec, flags) in &others.each {
                own.add(*codec, *flags);
            }
        }
        self.extended = match (self.extended, other.extended) {
            (Some(own), Some(other)) => Some(own | other),
            (own, other) => own.or(other),
        };
    }

    /// Adds to the object of a connect command, or to the properties of its answer.
    pub fn announce(&self, object: &mut Object) {
        // By name even where `*` would do: few of those who know the list know that.
        let names: Vec<_> = [(&self.video, FourCc::VIDEO), (&self.audio, FourCc::AUDIO)]
            .into_iter()
            .flat_map(|(codecs, all)| codecs.names(&all))
            .map(|codec| Value::String(codec.to_string()))
            .collect();
        if !names.is_empty() {
            object.push("fourCcList", Value::StrictArray(names));
        }
        for (name, codecs) in [
            ("videoFourCcInfoMap", &self.video),
            ("audioFourCcInfoMap", &self.audio),
        ] {
            if !codecs.is_silent() {
                object.push(name, codecs.to_map());
            }
        }
        if let Some(extended) = self.extended {
            object.push("capsEx", f64::from(extended));
        }
    }

    /// Reads what [`announce`](Self::announce) writes. What makes no sense was not said.
    pub fn parse(object: &Object) -> Self {
        let mut all = Self::default();
        // A strict array is what it should be; scripts have the other kind.
        let list: Vec<_> = match object.get("fourCcList") {
            Some(Value::StrictArray(list)) => list.iter().take(READ).collect(),
            Some(Value::EcmaArray(list)) => list.0.iter().take(READ).map(|(_, v)| v).collect(),
            _ => Vec::new(),
        };
        for name in list.into_iter().filter_map(Value::as_str) {
            all.add_named(name, CAN_FORWARD);
        }
        for (name, codecs) in [
            ("videoFourCcInfoMap", &mut all.video),
            ("audioFourCcInfoMap", &mut all.audio),
        ] {
            let map = object.get(name).and_then(Value::as_object);
            for (name, flags) in map.iter().flat_map(|map| &map.0).take(READ) {
                // `as` saturates: no number can do harm.
                let flags = flags.as_number().unwrap_or(0.0) as u8;
                match four_cc(name) {
                    Some(codec) => codecs.add(codec, flags),
                    None if name == ANY => codecs.any |= flags,
                    None => {}
                }
            }
        }
        all.extended = object.number("capsEx").map(|flags| flags as u8);
        all
    }

    /// Whether who said this takes a stream that needs that.
    ///
    /// # Errors
    /// What is lacking first.
    pub fn check(&self, needs: &Needs, demand: Demand) -> Result<(), Lack> {
        if demand == Demand::Nothing {
            return Ok(());
        }
        for (codecs, needed) in [(&self.video, &needs.video), (&self.audio, &needs.audio)] {
            for codec in needed {
                if codecs.is_silent() {
                    if demand == Demand::Consent {
                        return Err(Lack::Consent(*codec));
                    }
                } else if !codecs.take(*codec) {
                    let takes = codecs.to_string();
                    return Err(Lack::Codec {
                        codec: *codec,
                        takes,
                    });
                }
            }
        }
        // Relays hand on what they cannot read, and say so (tcserver: `*` and a capsEx of 0).
        if (self.video.any | self.audio.any) & CAN_FORWARD != 0 {
            return Ok(());
        }
        let can = |flag: u8| match self.extended {
            Some(extended) => extended & flag != 0,
            None => demand != Demand::Consent,
        };
        if needs.multitrack && !can(MULTITRACK) {
            return Err(Lack::Multitrack);
        }
        if needs.mod_ex && !can(MOD_EX) {
            return Err(Lack::ModEx);
        }
        Ok(())
    }

    fn add(&mut self, codec: FourCc, flags: u8) {
        let name = Codec::FourCc(codec);
        if VideoCodec::from_name(name).is_some() {
            self.video.add(codec, flags);
        } else if AudioCodec::from_name(name).is_some() {
            self.audio.add(codec, flags);
        }
    }

    fn add_named(&mut self, name: &str, flags: u8) {
        match four_cc(name) {
            Some(codec) => self.add(codec, flags),
            None if name == ANY => {
                self.video.any |= flags;
                self.audio.any |= flags;
            }
            None => {}
        }
    }
}

/// Whether the object of a connect command says that its client follows a `ReconnectRequest`.
pub fn can_reconnect(object: &Object) -> bool {
    let extended = Capabilities::parse(object).extended;
    extended.is_some_and(|extended| extended & RECONNECT != 0)
}

impl Codecs {
    fn is_silent(&self) -> bool {
        self.any == 0 && self.each.is_empty()
    }

    fn add(&mut self, codec: FourCc, flags: u8) {
        match self.each.iter_mut().find(|(known, _)| *known == codec) {
            Some((_, known)) => *known |= flags,
            None => self.each.push((codec, flags)),
        }
    }

    fn take(&self, codec: FourCc) -> bool {
        let each = self.each.iter().find(|(known, _)| *known == codec);
        let flags = self.any | each.map_or(0, |(_, flags)| *flags);
        flags & (CAN_DECODE | CAN_FORWARD) != 0
    }

    fn names(&self, all: &[FourCc]) -> Vec<FourCc> {
        match self.any {
            0 => self.each.iter().map(|(codec, _)| *codec).collect(),
            _ => all.to_vec(),
        }
    }

    fn to_map(&self) -> Object {
        let mut map = Object::default();
        if self.any != 0 {
            map.push(ANY, f64::from(self.any));
        }
        for (codec, flags) in &self.each {
            map.push(codec.to_string(), f64::from(*flags));
        }
        map
    }
}

/// What is taken, for people.
impl std::fmt::Display for Codecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let taken = self.each.iter().filter(|(codec, _)| self.take(*codec));
        let names = taken.take(SHOWN).map(|(codec, _)| codec.to_string());
        let names: Vec<_> = names.collect();
        match names.is_empty() {
            true => f.write_str("none of Enhanced RTMP"),
            false => f.write_str(&names.join(", ")),
        }
    }
}

fn four_cc(name: &str) -> Option<FourCc> {
    name.as_bytes().try_into().ok().map(FourCc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(capabilities: &Capabilities) -> Object {
        let mut object = Object::default();
        capabilities.announce(&mut object);
        object
    }

    fn map(flags: &[(&str, f64)]) -> Value {
        let mut object = Object::default();
        flags
            .iter()
            .for_each(|(name, flags)| object.push(*name, *flags));
        object.into()
    }

    fn list(names: &[&str]) -> Value {
        Value::StrictArray(names.iter().map(|name| Value::from(*name)).collect())
    }

    fn heard(fields: &[(&str, Value)]) -> Capabilities {
        let mut object = Object::default();
        for (name, value) in fields {
            object.push(*name, value.clone());
        }
        Capabilities::parse(&object)
    }

    fn hevc_opus() -> Needs {
        Needs {
            video: vec![FourCc::HVC1],
            audio: vec![FourCc::OPUS],
            ..Needs::default()
        }
    }

    #[test]
    fn who_hands_on_everything_says_so_in_both_forms() {
        let object = said(&Capabilities::all());
        let Some(Value::StrictArray(names)) = object.get("fourCcList") else {
            panic!("{object:?}")
        };
        assert_eq!(names.len(), 12);
        for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
            let map = object.get(map).and_then(Value::as_object).unwrap();
            assert_eq!(map.0, [("*".to_owned(), Value::Number(4.0))]);
        }
        assert_eq!(object.number("capsEx"), Some(14.0));
    }

    #[test]
    fn a_sender_says_what_it_sends_and_of_classic_flv_nothing() {
        let object = said(&Capabilities::sender(&hevc_opus()));
        assert_eq!(object.get("fourCcList"), Some(&list(&["hvc1", "Opus"])));
        let expected = map(&[("hvc1", 2.0)]);
        assert_eq!(object.get("videoFourCcInfoMap"), Some(&expected));
        let expected = map(&[("Opus", 2.0)]);
        assert_eq!(object.get("audioFourCcInfoMap"), Some(&expected));
        assert_eq!(object.number("capsEx"), Some(0.0));
        let tracks = Needs {
            multitrack: true,
            mod_ex: true,
            ..hevc_opus()
        };
        let object = said(&Capabilities::sender(&tracks));
        assert_eq!(object.number("capsEx"), Some(14.0));
        let classic = Capabilities::sender(&Needs::default());
        assert_eq!(said(&classic), Object::default());
        assert!(classic.is_silent());
    }

    #[test]
    fn what_is_said_is_understood() {
        for capabilities in [
            Capabilities::receiver([FourCc::HVC1, FourCc::OPUS]),
            Capabilities::default(),
        ] {
            assert_eq!(Capabilities::parse(&said(&capabilities)), capabilities);
        }
        let all = Capabilities::parse(&said(&Capabilities::all()));
        for codec in FourCc::VIDEO {
            assert!(all.video.take(codec));
        }
        for codec in FourCc::AUDIO {
            assert!(all.audio.take(codec));
        }
    }

    #[test]
    fn who_names_codecs_must_name_ours() {
        let lacks = |fields: &[(&str, Value)]| {
            let server = heard(fields);
            server.check(&hevc_opus(), Demand::NoRefusal).err()
        };
        // Nothing said, as by most servers that take it all the same.
        assert_eq!(lacks(&[]), None);
        assert_eq!(lacks(&[("fourCcList", list(&[]))]), None);
        assert_eq!(lacks(&[("fourCcList", list(&["*"]))]), None);
        assert_eq!(lacks(&[("fourCcList", list(&["hvc1", "Opus"]))]), None);
        // v1 has no codecs of sound; who speaks of pictures only has said nothing of it.
        assert_eq!(
            lacks(&[("fourCcList", list(&["av01", "vp09", "hvc1"]))]),
            None
        );
        let codec = |codec, takes: &str| {
            Some(Lack::Codec {
                codec,
                takes: takes.to_owned(),
            })
        };
        assert_eq!(
            lacks(&[("fourCcList", list(&["av01", "vp09"]))]),
            codec(FourCc::HVC1, "av01, vp09")
        );
        assert_eq!(
            lacks(&[("fourCcList", list(&["hvc1", "mp4a"]))]),
            codec(FourCc::OPUS, "mp4a")
        );
        let videos = |flags: &[(&str, f64)]| lacks(&[("videoFourCcInfoMap", map(flags))]);
        assert_eq!(videos(&[("hvc1", 1.0)]), None, "decodes");
        assert_eq!(videos(&[("hvc1", 4.0)]), None, "forwards");
        let none = "none of Enhanced RTMP";
        assert_eq!(videos(&[("hvc1", 2.0)]), codec(FourCc::HVC1, none));
        assert_eq!(videos(&[("hvc1", 0.0)]), codec(FourCc::HVC1, none));
        assert_eq!(videos(&[("*", 4.0), ("hvc1", 0.0)]), None, "* overrides");
        assert_eq!(videos(&[("av01", 7.0)]), codec(FourCc::HVC1, "av01"));
    }

    #[test]
    fn who_speaks_of_tracks_must_know_them() {
        let needs = Needs {
            multitrack: true,
            ..hevc_opus()
        };
        let codecs = ("fourCcList", list(&["hvc1", "Opus"]));
        let check = |fields: &[(&str, Value)], demand| heard(fields).check(&needs, demand);
        let says = |flags: f64| [codecs.clone(), ("capsEx", Value::Number(flags))];
        assert_eq!(check(&says(2.0), Demand::Consent), Ok(()));
        assert_eq!(check(&says(5.0), Demand::NoRefusal), Err(Lack::Multitrack));
        assert_eq!(
            check(std::slice::from_ref(&codecs), Demand::NoRefusal),
            Ok(())
        );
        assert_eq!(
            check(std::slice::from_ref(&codecs), Demand::Consent),
            Err(Lack::Multitrack)
        );
        let relay = [
            ("videoFourCcInfoMap", map(&[("*", 4.0)])),
            ("audioFourCcInfoMap", map(&[("*", 4.0)])),
            ("capsEx", Value::Number(0.0)),
        ];
        assert_eq!(check(&relay, Demand::NoRefusal), Ok(()));
        let exact = Needs {
            mod_ex: true,
            ..hevc_opus()
        };
        assert_eq!(
            heard(&says(2.0)).check(&exact, Demand::NoRefusal),
            Err(Lack::ModEx)
        );
    }

    #[test]
    fn consent_is_needed_where_it_is_demanded_and_nothing_where_nothing_is() {
        let silent = Capabilities::default();
        assert_eq!(
            silent.check(&hevc_opus(), Demand::Consent),
            Err(Lack::Consent(FourCc::HVC1))
        );
        assert_eq!(silent.check(&Needs::default(), Demand::Consent), Ok(()));
        let other = heard(&[("fourCcList", list(&["av01"]))]);
        assert_eq!(other.check(&hevc_opus(), Demand::Nothing), Ok(()));
    }

    #[test]
    fn nonsense_was_not_said() {
        for fields in [
            [("fourCcList", Value::Number(4.0))],
            [("fourCcList", list(&["hevc265", "", "\u{1f3a5}"]))],
            [("videoFourCcInfoMap", list(&["hvc1"]))],
            [("capsEx", Value::from("all"))],
        ] {
            assert!(heard(&fields).is_silent(), "{fields:?}");
        }
        let flags = [f64::NAN, f64::INFINITY, -1.0, 1e300];
        let flags: Vec<_> = flags.iter().map(|flags| ("hvc1", *flags)).collect();
        let _ = heard(&[("videoFourCcInfoMap", map(&flags))]);
        let endless: Vec<_> = (0..100_000u32).map(|n| n.to_be_bytes()).collect();
        let mut object = Object::default();
        for name in &endless {
            object.push(String::from_utf8_lossy(name), 1.0);
        }
        let many = heard(&[("videoFourCcInfoMap", object.into())]);
        assert!(many.video.each.len() <= READ);
    }

    #[test]
    fn behind_one_door_it_adds_up() {
        let mut all = Capabilities::receiver([FourCc::HVC1]);
        all.merge(&Capabilities::default());
        all.merge(&Capabilities::sender(&hevc_opus()));
        assert_eq!(all.video.each, [(FourCc::HVC1, CAN_FORWARD | CAN_ENCODE)]);
        assert_eq!(all.audio.each, [(FourCc::OPUS, CAN_ENCODE)]);
        assert_eq!(all.extended, Some(14));
    }
}
