import type { LicenceName } from "./licences.ts";

/** Crates, which are packages of Rust, of the same authors and on the same terms. */
export interface Crates {
  /** NAME VERSION, as the binary says; the name alone of those whose version it does not say. */
  names: readonly string[];
  /** All of them hold. */
  licences: readonly LicenceName[];
  /** As in the sources; without a line where the licence does not ask for it, or there is none. */
  copyright?: readonly string[];
}

/** The files of `@currentspace/http3` that go into the executables. */
export const CRATES_ARE_IN = ["x64", "arm64"].map((name) => `@currentspace/http3/http3.linux-${name}-gnu.node`);

/**
 * What QUIC's add-on is compiled from. Where its authors let us choose (MIT OR Apache-2.0, for the most) it is Apache-2.0,
 * whose text every Debian has. The words are those of licence files and manifests at these versions, or at the nearest that
 * could be had.
 *
 * Not here, since they leave no code behind: what runs while others are compiled (`cc`, `syn`, `serde_derive` …), and what
 * is but names for others (`cfg-if`, `memoffset`).
 */
export const CRATES: readonly Crates[] = [
  {
    names: [
      ...["anstream 1.0.0", "anstyle 1.0.14", "anstyle-parse 1.0.0", "anstyle-query 1.1.5", "bitflags 2.13.0"],
      ...["colorchoice 1.0.5", "crossbeam-channel 0.5.15", "crossbeam-utils 0.8.21", "ctor 1.0.7", "either 1.16.0"],
      ...["env_filter 2.0.0", "env_logger 0.11.11", "equivalent 1.0.2", "foreign-types 0.5.0", "foreign-types-shared"],
      ...["getrandom 0.2.17", "hashbrown 0.17.1", "humantime 2.3.0", "indexmap 2.14.0", "intrusive-collections 0.9.7"],
      ...["io-uring 0.7.13", "is_terminal_polyfill 1.70.2", "itoa 1.0.18", "libc", "log 0.4.33", "nohash-hasher"],
      ...["regex 1.12.4", "regex-automata 0.4.14", "rustc-hash 2.1.2", "serde 1.0.228", "serde_core 1.0.228"],
      ...["serde_json 1.0.150", "smallvec 1.15.2", "socket2 0.6.4", "tikv-jemallocator 0.7.0", "utf8parse 0.2.2"],
      // These come with Rust's standard library, which shows where a program failed.
      ...["addr2line 0.25.1", "adler2", "gimli 0.32.3", "libc 0.2.185", "miniz_oxide 0.8.9", "object 0.37.3"],
      "rustc-demangle 0.1.27",
    ],
    licences: ["Apache-2.0"],
  },
  {
    names: ["boring 4.22.0"],
    licences: ["Apache-2.0"],
    copyright: [
      "Copyright 2011-2017 Google Inc.",
      "          2013 Jack Lloyd",
      "          2013-2014 Steven Fackler",
      "          2020 Ivan Nikulin <ifaaan@gmail.com>",
    ],
  },
  {
    // BoringSSL is of May 2023 (44b3df6f03d8), before it took OpenSSL's new licence. Of its files these name others beside
    // those in its licence; what boring-sys adds, Kyber and Keccak, is in the public domain.
    names: ["boring-sys 4.22.0, with BoringSSL"],
    licences: ["MIT", "BoringSSL"],
    copyright: [
      "Copyright (c) 2014 Alex Crichton",
      "Copyright (c) 2020 Ivan Nikulin <ifaaan@gmail.com>",
      "Copyright (c) 2014-2023, Google Inc.",
      "Copyright (c) 2015, Intel Inc.",
      "Copyright (c) 2012, 2014, Intel Corporation. All Rights Reserved.",
      "Copyright 2002 Sun Microsystems, Inc. ALL RIGHTS RESERVED.",
      "Copyright 2005 Nokia. All rights reserved.",
      "Copyright (C) 2006, Network Resonance, Inc.",
      "Copyright (C) 2011, RTFM, Inc.",
      "Copyright 2013-2020 The OpenSSL Project Authors. All Rights Reserved.",
      "Copyright 2016 Brian Smith.",
    ],
  },
  {
    names: ["aho-corasick 1.1.4", "jiff 0.2.31", "memchr 2.7.6", "memchr 2.8.2"],
    licences: ["MIT"],
    copyright: ["Copyright (c) 2015 Andrew Gallant"],
  },
  { names: ["bytes 1.12.0"], licences: ["MIT"], copyright: ["Copyright (c) 2018 Carl Lerche"] },
  { names: ["slab 0.4.12"], licences: ["MIT"], copyright: ["Copyright (c) 2019 Carl Lerche"] },
  {
    names: ["napi 3.9.4"],
    licences: ["MIT"],
    copyright: ["Copyright (c) 2020-present LongYinan", "Copyright (c) 2018 GitHub"],
  },
  {
    names: ["napi-sys 3.2.2"],
    licences: ["MIT"],
    copyright: ["Copyright (c) 2020-present LongYinan", "Copyright (c) 2015 David Herman"],
  },
  // David Tolnay's; its licence names nobody.
  { names: ["zmij 1.0.21"], licences: ["MIT"] },
  {
    names: ["libm 0.2.16"],
    licences: ["MIT", "Sun"],
    copyright: [
      "Copyright (c) 2018 Jorge Aparicio",
      "Copyright © 2005-2020 Rich Felker, et al.",
      "Copyright (C) 1993, 2004 by Sun Microsystems, Inc. All rights reserved.",
      "Copyright © 2003-2011 David Schultz",
      "Copyright © 2003-2009 Steven G. Kargl",
      "Copyright © 2003-2009 Bruce D. Evans",
      "Copyright © 2008 Stephen L. Moshier",
      "Copyright © 2017-2018 Arm Limited",
      "Copyright (c) 2021-2022 Alexei Sibidanov.",
    ],
  },
  { names: ["libloading 0.9.0"], licences: ["ISC"], copyright: ["Copyright © 2015, Simonas Kazlauskas"] },
  { names: ["ring 0.17.14"], licences: ["Apache-2.0", "ISC"], copyright: ["Copyright 2015-2025 Brian Smith."] },
  {
    names: ["octets 0.3.5", "qlog 0.18.0", "quiche 0.29.2"],
    licences: ["BSD-2-Clause"],
    copyright: ["Copyright (C) 2018-2019, Cloudflare, Inc.", "All rights reserved."],
  },
  { names: ["regex-syntax 0.8.11"], licences: ["Apache-2.0", "Unicode-DFS-2016"] },
  {
    names: ["tikv-jemalloc-sys 0.7.1+5.3.1-0-g81034ce1f1373e37dc865038e1bc8eeecf559ce8, with jemalloc"],
    licences: ["Apache-2.0", "jemalloc"],
  },
  { names: ["Rust's standard library 1.97.0"], licences: ["Apache-2.0", "Unicode-3.0"] },
  {
    // Part of it is LLVM's, whose text is Apache-2.0 with an exception for what a compiler puts into programs.
    names: ["compiler_builtins"],
    licences: ["MIT", "Apache-2.0", "LLVM-exception"],
    copyright: [
      "Copyright (c) 2009-2016 by the contributors listed in CREDITS.TXT",
      "(https://github.com/llvm/llvm-project/blob/main/compiler-rt/CREDITS.TXT)",
    ],
  },
];
