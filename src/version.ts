/** Put in where the executable is bundled. */
declare const BUILD: { readonly commit: string; readonly time: string };

/** The version of package.json; a test compares them. */
export const VERSION = "0.1.0";

/** What `--version` says: of an executable also which sources it was made of, and when. */
export const VERSION_TEXT =
  typeof BUILD === "undefined" ? VERSION : `${VERSION} (commit ${BUILD.commit}, built ${BUILD.time})`;
