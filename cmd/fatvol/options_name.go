package main

import (
	"strconv"

	"fatvol/image/fat"
)

var nameOptions = []option{
	{"utf8", boolValue(func(c *config, on bool) { c.utf8 = &on }),
		"Names are UTF-8. This is the default, unless `iocharset=` or `uni_xlate` is given. `utf8=0` takes the character set of `iocharset=`, or iso8859-1."},
	{"iocharset", textValue("CHARSET", func(c *config, text string) error {
		c.charset = text
		return checkCharset(text)
	}), "The character set of names as programs see them, for example iso8859-15 or koi8-r. Characters it lacks are shown as `?`, or as `uni_xlate` says."},
	{"codepage", intValue("NUMBER", 1, 65535, func(c *config, n int64) error {
		c.fat.Names.CodePage = strconv.FormatInt(n, 10)
		return checkCodePage(c.fat.Names.CodePage)
	}), "The code page of 8.3 names on the disk. The default is 437."},
	{"shortname", enumValue(func(c *config, m fat.ShortNameMode) { c.fat.Names.ShortName = m },
		enumWord[fat.ShortNameMode]{"mixed", fat.ShortMixed},
		enumWord[fat.ShortNameMode]{"lower", fat.ShortLower},
		enumWord[fat.ShortNameMode]{"win95", fat.ShortWin95},
		enumWord[fat.ShortNameMode]{"winnt", fat.ShortWinNT}),
		"How names that fit into 8.3 are shown and created. " +
			"`lower`: shown in lower case; one that is not all upper case is stored as a long name. " +
			"`win95`: shown in upper case, stored as with lower. " +
			"`winnt`: shown in the case that is stored; a name in one case throughout needs no long name. " +
			"`mixed`, the default: shown as with winnt, stored as with lower."},
	{"nocase", flagValue(func(c *config) { c.fat.Names.ShortName = fat.ShortWin95 }),
		"An old spelling of `shortname=win95`."},
	{"nonumtail", boolValue(func(c *config, on bool) { c.fat.Names.NoNumTail = on }),
		"The 8.3 alias of a long name gets a number such as ~1 only when the plain form is taken: longfile.txt instead of longfi~1.txt."},
	{"uni_xlate", boolValue(func(c *config, on bool) { c.uniXlate = on }),
		"A character that `iocharset=` lacks is shown as a colon and its four hexadecimal digits, and accepted in that form, so that every name survives a copy and back. Turns `utf8` off."},
	{"check", enumValue(func(c *config, m fat.CheckMode) { c.fat.Names.Check = m },
		enumWord[fat.CheckMode]{"n|normal", fat.CheckNormal},
		enumWord[fat.CheckMode]{"r|relaxed", fat.CheckRelaxed},
		enumWord[fat.CheckMode]{"s|strict", fat.CheckStrict}),
		"How names are compared. `normal`, the default, and `relaxed` ignore the case; `strict` does not."},
}
