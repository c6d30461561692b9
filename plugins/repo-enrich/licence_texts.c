/* licence_texts.h: the licences that are known. Where one is part of another, the larger one comes first. */
#include "licence_texts.h"

/* clang-format off */
#define MIT_GRANT \
    "permission is hereby granted free of charge to any person obtaining a copy of this software and " \
    "associated documentation files the software to deal in the software without restriction including " \
    "without limitation the rights to use copy modify merge publish distribute sublicense and or sell " \
    "copies of the software and to permit persons to whom the software is furnished to do so"

#define AS_IS \
    "the software is provided as is without warranty of any kind express or implied including but not " \
    "limited to the warranties of merchantability fitness for a particular purpose"

#define NO_LIABILITY \
    "be liable for any claim damages or other liability whether in an action of contract tort or " \
    "otherwise arising from out of or in connection with the software or the use or other dealings in the " \
    "software"

#define BSD_GRANT \
    "redistribution and use in source and binary forms with or without modification are permitted " \
    "provided that the following conditions are met"

#define BSD_SOURCE \
    "redistributions of source code must retain the above copyright notice this list of conditions and " \
    "the following disclaimer"

#define BSD_BINARY \
    "redistributions in binary form must reproduce the above copyright notice this list of conditions and " \
    "the following disclaimer in the documentation and or other materials provided with the distribution"

#define BSD_DISCLAIMER \
    "as is and any express or implied warranties including but not limited to the implied warranties of " \
    "merchantability and fitness for a particular purpose are disclaimed in no event shall"

#define BSD_NO_LIABILITY \
    "be liable for any direct indirect incidental special exemplary or consequential damages including " \
    "but not limited to procurement of substitute goods or services loss of use data or profits or " \
    "business interruption however caused and on any theory of liability whether in contract strict " \
    "liability or tort including negligence or otherwise arising in any way out of the use of this " \
    "software even if advised of the possibility of such damage"

#define BSD_NAMES \
    "contributors may be used to endorse or promote products derived from this software without specific " \
    "prior written permission"

#define ISC_DISCLAIMER \
    "disclaims all warranties with regard to this software including all implied warranties of " \
    "merchantability and fitness in no event shall"

#define ISC_NO_LIABILITY \
    "be liable for any special direct indirect or consequential damages or any damages whatsoever " \
    "resulting from loss of use data or profits whether in an action of contract negligence or other " \
    "tortious action arising out of or in connection with the use or performance of this software"

const struct licence_text licence_texts[] = {
    {.spdx = "MIT",
     .phrases =
         {MIT_GRANT " "
          "subject to the following conditions",
         "the above copyright notice and this permission notice",
         "shall be included in all copies or substantial portions of the software",
         AS_IS,
         "in no event shall the",
         NO_LIABILITY},
     .extra_words = 60},
    {.spdx = "MIT-0",
     .phrases =
         {MIT_GRANT " " AS_IS,
         "in no event shall the",
         NO_LIABILITY},
     .extra_words = 60},
    {.spdx = "ISC",
     .phrases =
         {"permission to use copy modify and",
         "distribute this software for any purpose with or without fee is hereby granted",
         "provided that the above copyright notice and this permission notice appear in all copies",
         "the software is provided as is and",
         ISC_DISCLAIMER,
         ISC_NO_LIABILITY},
     .extra_words = 60},
    {.spdx = "0BSD",
     .phrases =
         {"permission to use copy modify and",
         "distribute this software for any purpose with or without fee is hereby granted the software is "
          "provided as is and",
         ISC_DISCLAIMER,
         ISC_NO_LIABILITY},
     .extra_words = 60},
    {.spdx = "BSD-4-Clause",
     .phrases =
         {BSD_GRANT,
         BSD_SOURCE,
         BSD_BINARY,
         "all advertising materials mentioning features or use of this software must display the following "
          "acknowledgement this product includes software developed by",
         "neither the name of",
         "nor the names of",
         BSD_NAMES,
         "this software is provided by",
         BSD_DISCLAIMER,
         BSD_NO_LIABILITY},
     .extra_words = 80},
    {.spdx = "BSD-3-Clause",
     .phrases =
         {BSD_GRANT,
         BSD_SOURCE,
         BSD_BINARY,
         "neither the name of",
         "nor the names of",
         BSD_NAMES,
         "this software is provided by",
         BSD_DISCLAIMER,
         BSD_NO_LIABILITY},
     .extra_words = 70},
    {.spdx = "BSD-2-Clause",
     .phrases =
         {BSD_GRANT,
         BSD_SOURCE,
         BSD_BINARY,
         "this software is provided by",
         BSD_DISCLAIMER,
         BSD_NO_LIABILITY},
     .extra_words = 60},
    {.spdx = "Zlib",
     .phrases =
         {"this software is provided as is without any express or implied warranty in no event will the",
         "be held liable for any damages arising from the use of this software",
         "permission is granted to anyone to use this software for any purpose including commercial "
          "applications and to alter it and redistribute it freely subject to the following restrictions",
         "the origin of this software must not be misrepresented you must not claim that you wrote the "
          "original software if you use this software in a product an",
         "in the product documentation would be appreciated but is not required",
         "altered source versions must be plainly marked as such and must not be misrepresented as being the "
          "original software",
         "this notice may not be removed or altered from any source distribution"},
     .extra_words = 60},
    {.spdx = "Unlicense",
     .phrases =
         {"this is free and unencumbered software released into the public domain",
         "anyone is free to copy modify publish use compile sell or distribute this software either in "
          "source code form or as a compiled binary for any purpose commercial or non commercial and by any "
          "means",
         "in jurisdictions that recognize copyright laws the author or authors of this software dedicate any "
          "and all copyright interest in the software to the public domain we make this dedication for the "
          "benefit of the public at large and to the detriment of our heirs and successors we intend this "
          "dedication to be an overt act of relinquishment in perpetuity of all present and future rights to "
          "this software under copyright law",
         AS_IS,
         "in no event shall the authors",
         NO_LIABILITY},
     .extra_words = 30},
    {.spdx = "BSL-1.0",
     .phrases =
         {"boost software license version 1 0 august 17th 2003",
         "permission is hereby granted free of charge to any person or organization obtaining a copy of the "
          "software and accompanying documentation covered by this license the software to use reproduce "
          "display distribute execute and transmit the software and to prepare derivative works of the "
          "software and to permit third parties to whom the software is furnished to do so all subject to the "
          "following the copyright notices in the software and this entire statement including the above "
          "license grant this restriction and the following disclaimer must be included in all copies of the "
          "software in whole or in part and all derivative works of the software unless such copies or "
          "derivative works are solely in the form of machine executable object code generated by a source "
          "language processor",
         AS_IS " "
          "title and non infringement in no event shall the copyright holders or anyone distributing the "
          "software be liable for any damages or other liability whether in contract tort or otherwise "
          "arising from out of or in connection with the software or the use or other dealings in the "
          "software"},
     .extra_words = 30},
    {.spdx = "WTFPL",
     .phrases =
         {"do what the fuck you want to public license",
         "everyone is permitted to copy and distribute verbatim or modified copies of this license document "
          "and changing it is allowed as long as the name is changed",
         "terms and conditions for copying distribution and modification 0 you just do what the fuck you "
          "want to"},
     .extra_words = 60},
    {.spdx = "Apache-2.0",
     .phrases =
         {"apache license version 2 0 january 2004",
         "controlled by or are under common control with that entity for the purposes of",
         "attached to the work an example is provided in the appendix below derivative works",
         "sent to the licensor or its representatives including but not limited to communication on",
         "this license each contributor hereby grants to you a perpetual worldwide non exclusive no",
         "modifications and in source or object form provided that you meet the following conditions",
         "as part of the derivative works within the source form or documentation if provided",
         "intentionally submitted for inclusion in the work by you to the licensor shall be",
         "responsible for determining the appropriateness of using or redistributing the work and assume any",
         "charge a fee for acceptance of support warranty indemnity or other liability obligations and"},
     .least_words = 1340,
     .most_words = 1672},
    {.spdx = "AGPL-3.0",
     .phrases =
         {"gnu affero general public license version 3 19 november 2007",
         "software used on network servers this result may fail to come about the gnu",
         "packaging a major component but which is not part of that major component and",
         "conveying verbatim copies you may convey verbatim copies of the program s source code",
         "a durable physical medium customarily used for software interchange for a price no more",
         "object code on the user product for example the work has been installed in",
         "you add terms to a covered work in accord with this section you must",
         "a lawsuit alleging that any patent claim is infringed by making using selling offering",
         "a discriminatory patent license a in connection with copies of the covered work conveyed",
         "if you modify the program your modified version must prominently offer all users interacting with "
          "it remotely through a computer network",
         "additional obligations are imposed on any author or copyright holder as a result of"},
     .least_words = 4896,
     .most_words = 5803},
    {.spdx = "GPL-3.0",
     .phrases =
         {"gnu general public license version 3 29 june 2007",
         "recipients the same freedoms that you received you must make sure that they too",
         "how to view a copy of this license if the interface presents a list",
         "protecting users legal rights from anti circumvention law no covered work shall be deemed",
         "source under the terms of this license in one of these ways a convey",
         "continued functioning of the modified object code is in no case prevented or interfered",
         "recipient for any liability that these contractual assumptions directly impose on those licensors "
          "and",
         "receives a copy of the work also receives whatever licenses to the work the",
         "discriminatory if it does not include within the scope of its coverage prohibits the",
         "however no additional obligations are imposed on any author or copyright holder as a"},
     .least_words = 4931,
     .most_words = 5928},
    {.spdx = "GPL-2.0",
     .phrases =
         {"gnu general public license version 2 june 1991",
         "your programs too when we speak of free software we are referring to freedom",
         "is threatened constantly by software patents we wish to avoid the danger that redistributors",
         "warranty keep intact all the notices that refer to this license and to the",
         "is not required to print an announcement these requirements apply to the modified work",
         "a written offer valid for at least three years to give any third party",
         "any attempt otherwise to copy modify sublicense or distribute the program is void and",
         "consequence you may not distribute the program at all for example if a patent",
         "free software foundation may publish revised and or new versions of the general public",
         "particular purpose the entire risk as to the quality and performance of the program"},
     .least_words = 2356,
     .most_words = 3108},
    {.spdx = "LGPL-3.0",
     .phrases =
         {"gnu lesser general public license version 3 29 june 2007",
         "gnu general public license the library refers to a covered work governed by this",
         "minimal corresponding source for a combined work means the corresponding source for the combined",
         "or data to be supplied by an application that uses the facility other than",
         "is not limited to numerical parameters data structure layouts and accessors or small macros",
         "is used in it and that the library and its use are covered by",
         "use a suitable shared library mechanism for linking with the library a suitable mechanism",
         "combined libraries you may place library facilities that are a work based on the",
         "revised versions of the gnu lesser general public license the free software foundation may",
         "general public license you may choose any version of the gnu lesser general public"},
     .least_words = 1166,
     .most_words = 1290},
    {.spdx = "LGPL-3.0",
     .phrases =
         {"gnu lesser general public license version 3 29 june 2007",
         "gnu general public license the library refers to a covered work governed by this",
         "minimal corresponding source for a combined work means the corresponding source for the combined",
         "or data to be supplied by an application that uses the facility other than",
         "is not limited to numerical parameters data structure layouts and accessors or small macros",
         "is used in it and that the library and its use are covered by",
         "use a suitable shared library mechanism for linking with the library a suitable mechanism",
         "combined libraries you may place library facilities that are a work based on the",
         "revised versions of the gnu lesser general public license the free software foundation may",
         "general public license you may choose any version of the gnu lesser general public"},
     .least_words = 6018,
     .most_words = 7218},
    {.spdx = "LGPL-2.1",
     .phrases =
         {"gnu lesser general public license version 2 1 february 1999",
         "and charge for this service if you wish that you receive source code or",
         "lesser general public license permits more lax criteria for linking other code with the",
         "under copyright law that is to say a work containing the library or a",
         "a library to compute square roots has a purpose that is entirely well defined",
         "above on a medium customarily used for software interchange if distribution of object code",
         "license you must supply a copy of this license if the work during execution",
         "library facilities that are a work based on the library side by side in",
         "redistribution of the library by all those who receive copies directly or indirectly through",
         "free status of all derivatives of our free software and of promoting the sharing"},
     .least_words = 3823,
     .most_words = 4591},
    {.spdx = "MPL-2.0",
     .phrases =
         {"mozilla public license version 2 0",
         "or earlier of the license but not also under the terms of a secondary",
         "or a legal entity exercising rights under this license for legal entities you includes",
         "and any other third party s modifications of covered software or ii the combination",
         "this license you may not attempt to alter or restrict the recipients rights in",
         "disclaimers of warranty or limitations of liability contained within the source code form of",
         "will terminate automatically if you fail to comply with any of its terms however",
         "is free of defects merchantable fit for a particular purpose or non infringing the",
         "miscellaneous this license represents the complete agreement concerning the subject matter hereof "
          "if any",
         "exhibit b of this license must be attached exhibit a source code form license"},
     .least_words = 2280,
     .most_words = 2523},
    {.spdx = "CC0-1.0",
     .phrases =
         {"hereunder and disclaims liability for damages resulting from the use of this document or",
         "whatsoever and for any purposes including without limitation commercial purposes these owners may "
          "contribute",
         "and related rights in the work and the meaning and intended legal effect of",
         "protecting the extraction dissemination use and reuse of data in a work vi database",
         "whether now known or unknown including existing as well as future claims and causes",
         "or future medium and for any number of copies and iv for any purpose",
         "public license fallback should any part of the waiver for any reason be judged",
         "limitations and disclaimers a no trademark or patent rights held by affirmer are waived",
         "any person s copyright and related rights in the work further affirmer disclaims responsibility"},
     .least_words = 930,
     .most_words = 1131},
    {.spdx = "EPL-2.0",
     .phrases =
         {"eclipse public license v 2 0",
         "include changes or additions to the program that are not modified works contributor means",
         "but not limited to software source code documentation source and configuration files secondary "
          "license",
         "entity each contributor disclaims any liability to recipient for claims brought by any other",
         "program under a license different than this agreement provided that such license i effectively",
         "commercial distribution commercial distributors of software may accept certain responsibilities "
          "with respect to end",
         "product x that contributor is then a commercial contributor if that commercial contributor then",
         "however caused and on any theory of liability whether in contract strict liability or",
         "licenses granted by recipient relating to the program shall continue and survive everyone is",
         "secondary licenses notice this source code may also be made available under the following"},
     .least_words = 2031,
     .most_words = 2247},
    {.spdx = "Artistic-2.0",
     .phrases =
         {"the artistic license 2 0",
         "open source and free software you are always permitted to make arrangements wholly outside",
         "copy of the package or making it accessible to anyone else or in the",
         "code binary or any other form resulting from mechanical transformation or translation of the",
         "you may distribute your modified version as source either gratis or for a distributor",
         "version to make the source form of the modified version available to others under",
         "instructions on demand or cease further distribution if you provide valid instructions or cease",
         "with other works to embed the package in a larger work of your own",
         "if your modified version has been derived from a modified version made by someone",
         "copyright holder and contributors as is and without any express or implied warranties the"},
     .least_words = 1300,
     .most_words = 1438},
    {.spdx = "OFL-1.1",
     .phrases =
         {"sil open font license version 1 1",
         "preamble the goals of the open font license ofl are to stimulate worldwide development",
         "are not sold by themselves the fonts including any derivative works can be bundled",
         "files released by the copyright holder s under this license and clearly marked as",
         "components of the original version by changing formats or by porting the font software",
         "neither the font software nor any of its individual components in original or modified",
         "metadata fields within text or binary files as long as those fields can be",
         "shall not be used to promote endorse or advertise any modified version except to",
         "created using the font software termination this license becomes null and void if any",
         "including any general special indirect incidental or consequential damages whether in an action of"},
     .least_words = 643,
     .most_words = 712},
    {.spdx = "EUPL-1.2",
     .phrases =
         {"european union public license v 1 2",
         "following meaning the license this license the original work the work or software distributed",
         "scope of the rights granted by the license the licensor hereby grants you a",
         "addition a machine readable copy of the source code of the work along with",
         "work is expressly distributed only under this version of the license for example by",
         "or licensed to him her and that he she has the power and authority",
         "work including without limitation damages for loss of goodwill work stoppage computer failure or",
         "a derivative work or the distribution or communication by you of the work or",
         "rights granted by the license new versions of the license will be published with",
         "qu bec free and open source license reciprocity liliq r or strong reciprocity liliq"},
     .least_words = 2105,
     .most_words = 2329},
    {.spdx = "CC-BY-4.0",
     .phrases =
         {"exhaustive and do not form part of our licenses considerations for licensors our public",
         "creative commons attribution 4 0 international",
         "international public license public license to the extent this public license may be interpreted",
         "other exception or limitation to copyright and similar rights that applies to your use",
         "exceptions and limitations for the avoidance of doubt where exceptions and limitations apply to",
         "right of integrity are not licensed under this public license nor are publicity privacy",
         "any reasonable manner based on the medium means and context in which you share",
         "material whether express implied statutory or other this includes without limitation warranties of "
          "title",
         "remedies for your violations of this public license c for the avoidance of doubt",
         "apply one of its public licenses to material it publishes and in those instances"},
     .least_words = 2464,
     .most_words = 2726},
    {.spdx = "CC-BY-SA-4.0",
     .phrases =
         {"licensors our public licenses are intended for use by those authorized to give the",
         "creative commons attribution sharealike 4 0 international",
         "these terms and conditions and the licensor grants you such rights in consideration of",
         "a creative commons public license the license elements of this public license are attribution",
         "does not apply and you do not need to comply with its terms and",
         "under this public license nor are publicity privacy and or other similar personality rights",
         "if requested by the licensor you must remove any of the information required by",
         "this public license where the licensed rights include other copyright and similar rights section",
         "b does not affect any right the licensor may have to seek remedies for",
         "a party to its public licenses notwithstanding creative commons may elect to apply one"},
     .least_words = 2658,
     .most_words = 2941},
};
const size_t licence_texts_count = sizeof licence_texts / sizeof *licence_texts;
/* clang-format on */
