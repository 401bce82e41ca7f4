"""Countries as people write them: ISO 3166 alpha-2, alpha-3, and names.

English first, then the names in the country's own languages and, for large countries, in the main European ones.
Facts from Unicode CLDR and ISO 3166; one line per country, names separated by ``|``.
"""

# ruff: noqa: RUF001  names stand in their own scripts

from __future__ import annotations

from typing import Final

NAMES: Final = """\
AC ASC Ascension Island
AD AND Andorra
AE ARE United Arab Emirates|UAE|U.A.E.|Emirates|Vereinigte Arabische Emirate|Émirats arabes unis|\
Emiratos Árabes Unidos|Emirati Arabi Uniti|Emirados Árabes Unidos|Verenigde Arabische Emiraten|\
الإمارات العربية المتحدة
AF AFG Afghanistan|افغانستان
AG ATG Antigua & Barbuda|Antigua
AI AIA Anguilla
AL ALB Albania|Shqipëri
AM ARM Armenia|Հայաստան
AO AGO Angola
AQ ATA Antarctica
AR ARG Argentina|Argentinien|Argentine|Argentinië
AS ASM American Samoa
AT AUT Austria|Österreich|Autriche|Oostenrijk
AU AUS Australia|Australien|Australie
AW ABW Aruba
AX ALA Åland Islands|Åland
AZ AZE Azerbaijan|Azərbaycan|Азәрбајҹан
BA BIH Bosnia & Herzegovina|Bosnia|Босна и Херцеговина|Bosna i Hercegovina
BB BRB Barbados
BD BGD Bangladesh|বাংলাদেশ
BE BEL Belgium|Belgien|Belgique|Bélgica|Belgio|België
BF BFA Burkina Faso
BG BGR Bulgaria|Bulgarien|Bulgarie|Bulgarije|България
BH BHR Bahrain|البحرين
BI BDI Burundi|Uburundi
BJ BEN Benin
BL BLM St. Barthélemy|Saint Barthelemy
BM BMU Bermuda
BN BRN Brunei|Brunei Darussalam|بروني
BO BOL Bolivia|Plurinational State of Bolivia|Bolivia, Plurinational State of
BQ BES Caribbean Netherlands|Caribisch Nederland
BR BRA Brazil|Brasilien|Brésil|Brasil|Brasile|Brazilië
BS BHS Bahamas
BT BTN Bhutan|འབྲུག
BV BVT Bouvet Island
BW BWA Botswana
BY BLR Belarus|Беларусь
BZ BLZ Belize
CA CAN Canada|Kanada
CC CCK Cocos (Keeling) Islands|Cocos Islands
CD COD Congo - Kinshasa|Democratic Republic of the Congo|DR Congo|DRC|Congo, Democratic Republic of the|\
Congo, The Democratic Republic of the
CF CAF Central African Republic|Ködörösêse tî Bêafrîka|République centrafricaine
CG COG Congo - Brazzaville|Republic of the Congo|Congo
CH CHE Switzerland|Schweiz|Suisse|Suiza|Svizzera|Suíça|Zwitserland
CI CIV Côte d'Ivoire|Ivory Coast
CK COK Cook Islands
CL CHL Chile|Chili|Cile
CM CMR Cameroon|Cameroun
CN CHN China|People's Republic of China|PRC|Mainland China|Chine|Cina|中国
CO COL Colombia|Kolumbien|Colombie
CR CRI Costa Rica
CU CUB Cuba
CV CPV Cape Verde|Cabo Verde
CW CUW Curaçao
CX CXR Christmas Island
CY CYP Cyprus|Zypern|Chypre|Chipre|Cipro|Κύπρος|Kıbrıs
CZ CZE Czechia|Czech Republic|Tschechien|Tchéquie|Chequia|Cechia|Tchéquia|Tsjechië|Česko
DE DEU Germany|BRD|Federal Republic of Germany|Deutschland|Allemagne|Alemania|Germania|Alemanha|Duitsland
DJ DJI Djibouti|جيبوتي
DK DNK Denmark|Dänemark|Dinamarca|Danimarca|Denemarken|Danmark
DM DMA Dominica
DO DOM Dominican Republic|República Dominicana
DZ DZA Algeria|Algerien|Algérie|Argelia|Algerije|الجزائر
EC ECU Ecuador
EE EST Estonia|Estland|Estonie|Eesti
EG EGY Egypt|Ägypten|Égypte|Egipto|Egitto|Egito|مصر
EH ESH Western Sahara|الصحراء الغربية
ER ERI Eritrea|إريتريا
ES ESP Spain|Spanien|Espagne|España|Spagna|Espanha|Spanje
ET ETH Ethiopia|ኢትዮጵያ
FI FIN Finland|Finnland|Finlande|Finlandia|Suomi
FJ FJI Fiji
FK FLK Falkland Islands
FM FSM Micronesia|Federated States of Micronesia|Micronesia, Federated States of
FO FRO Faroe Islands|Føroyar
FR FRA France|Frankreich|Francia|França|Frankrijk
GA GAB Gabon
GB GBR United Kingdom|UK|U.K.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland|\
United Kingdom of Great Britain and Northern Ireland|Vereinigtes Königreich|Royaume-Uni|Reino Unido|Regno Unito|\
Verenigd Koninkrijk
GD GRD Grenada
GE GEO Georgia|საქართველო
GF GUF French Guiana|Guyane française
GG GGY Guernsey
GH GHA Ghana
GI GIB Gibraltar
GL GRL Greenland|Kalaallit Nunaat
GM GMB Gambia
GN GIN Guinea|Guinée
GP GLP Guadeloupe
GQ GNQ Equatorial Guinea|Guinea Ecuatorial|Guinée équatoriale|Guiné Equatorial
GR GRC Greece|Hellas|EL|Griechenland|Grèce|Grecia|Griekenland|Ελλάδα
GS SGS South Georgia & South Sandwich Islands
GT GTM Guatemala
GU GUM Guam
GW GNB Guinea-Bissau|Guiné-Bissau
GY GUY Guyana
HK HKG Hong Kong SAR China|Hong Kong|Hongkong|中國香港特別行政區
HM HMD Heard & McDonald Islands
HN HND Honduras
HR HRV Croatia|Kroatien|Croatie|Croacia|Croazia|Kroatië|Hrvatska
HT HTI Haiti
HU HUN Hungary|Ungarn|Hongrie|Hungría|Ungheria|Hongarije|Magyarország
ID IDN Indonesia|Indonesien|Indonésie
IE IRL Ireland|Republic of Ireland|Eire|Irland|Irlande|Irlanda|Ierland
IL ISR Israel|Israele|ישראל|إسرائيل
IM IMN Isle of Man|Ellan Vannin
IN IND India|Indien|Inde|भारत
IO IOT British Indian Ocean Territory
IQ IRQ Iraq|العراق
IR IRN Iran|Islamic Republic of Iran|Iran, Islamic Republic of|ایران
IS ISL Iceland|Island|Islande|Islandia|Islanda|IJsland
IT ITA Italy|Italien|Italie|Italia
JE JEY Jersey
JM JAM Jamaica
JO JOR Jordan|الأردن
JP JPN Japan|Japon|Giappone|Japão|日本
KE KEN Kenya
KG KGZ Kyrgyzstan|Кыргызстан|Киргизия
KH KHM Cambodia|កម្ពុជា
KI KIR Kiribati
KM COM Comoros|جزر القمر|Comores
KN KNA St. Kitts & Nevis|Saint Kitts
KP PRK North Korea|Democratic People's Republic of Korea|Korea, Democratic People's Republic of|북한
KR KOR South Korea|Republic of Korea|Korea|Korea, Republic of|Korea (South)|Südkorea|Corée du Sud|Corea del Sur|\
Corea del Sud|Coreia do Sul|Zuid-Korea|대한민국
KW KWT Kuwait|الكويت
KY CYM Cayman Islands
KZ KAZ Kazakhstan|Казахстан|Қазақстан
LA LAO Laos|Lao People's Democratic Republic|ລາວ
LB LBN Lebanon|لبنان
LC LCA St. Lucia|Saint Lucia
LI LIE Liechtenstein
LK LKA Sri Lanka|ශ්‍රී ලංකාව|இலங்கை
LR LBR Liberia
LS LSO Lesotho
LT LTU Lithuania|Litauen|Lituanie|Lituania|Litouwen|Lietuva
LU LUX Luxembourg|Luxemburg|Luxemburgo|Lussemburgo|Lëtzebuerg
LV LVA Latvia|Lettland|Lettonie|Letonia|Lettonia|Letland|Latvija
LY LBY Libya|Libyan Arab Jamahiriya|ليبيا
MA MAR Morocco|Marokko|Maroc|Marruecos|Marocco|Marrocos|المغرب|Meṛṛuk
MC MCO Monaco
MD MDA Moldova|Republic of Moldova|Moldova, Republic of|Republica Moldova
ME MNE Montenegro|Crna Gora
MF MAF St. Martin|Saint Martin
MG MDG Madagascar|Madagasikara
MH MHL Marshall Islands
MK MKD North Macedonia|Macedonia|Republic of North Macedonia|Северна Македонија
ML MLI Mali
MM MMR Myanmar (Burma)|Burma|Myanmar|မြန်မာ
MN MNG Mongolia|Монгол
MO MAC Macao SAR China|Macau|Macao|中國澳門特別行政區|Macau, RAE da China
MP MNP Northern Mariana Islands
MQ MTQ Martinique
MR MRT Mauritania|موريتانيا
MS MSR Montserrat
MT MLT Malta|Malte
MU MUS Mauritius|Maurice
MV MDV Maldives|ދިވެހި ރާއްޖެ
MW MWI Malawi
MX MEX Mexico|Mexiko|Mexique|Messico
MY MYS Malaysia|Malaisie|Malasia|Maleisië
MZ MOZ Mozambique|Moçambique
NA NAM Namibia
NC NCL New Caledonia|Nouvelle-Calédonie
NE NER Niger
NF NFK Norfolk Island
NG NGA Nigeria|Nàìjíríà
NI NIC Nicaragua
NL NLD Netherlands|Holland|Niederlande|Pays-Bas|Países Bajos|Paesi Bassi|Países Baixos|Nederland
NO NOR Norway|Norwegen|Norvège|Noruega|Norvegia|Noorwegen|Norge|Noreg
NP NPL Nepal|नेपाल
NR NRU Nauru
NU NIU Niue
NZ NZL New Zealand|Aotearoa|Neuseeland|Nouvelle-Zélande|Nueva Zelanda|Nuova Zelanda|Nova Zelândia|Nieuw-Zeeland
OM OMN Oman|عُمان
PA PAN Panama
PE PER Peru|Pérou
PF PYF French Polynesia|Polynésie française
PG PNG Papua New Guinea|Papua Niugini
PH PHL Philippines|Philippinen|Filipinas|Filippine|Filipijnen|Pilipinas
PK PAK Pakistan|پاکستان
PL POL Poland|Polen|Pologne|Polonia|Polska
PM SPM St. Pierre & Miquelon|Saint Pierre and Miquelon|Saint-Pierre-et-Miquelon
PN PCN Pitcairn Islands
PR PRI Puerto Rico
PS PSE Palestinian Territories|Palestine|State of Palestine|Palestine, State of|الأراضي الفلسطينية
PT PRT Portugal|Portogallo
PW PLW Palau
PY PRY Paraguay|Paraguai
QA QAT Qatar|قطر
RE REU Réunion|La Réunion
RO ROU Romania|Rumänien|Roumanie|Rumanía|Romênia|Roemenië
RS SRB Serbia|Srbija|Србија
RU RUS Russia|Russian Federation|Russland|Russie|Rusia|Rusland|Россия
RW RWA Rwanda|U Rwanda
SA SAU Saudi Arabia|KSA|Saudi-Arabien|Arabie saoudite|Arabia Saudí|Arabia Saudita|Saoedi-Arabië|\
المملكة العربية السعودية
SB SLB Solomon Islands
SC SYC Seychelles
SD SDN Sudan|السودان
SE SWE Sweden|Schweden|Suède|Suecia|Svezia|Zweden|Sverige
SG SGP Singapore|Singapur|Singapour|Singapura|新加坡|சிங்கப்பூர்
SH SHN St. Helena|Saint Helena
SI SVN Slovenia|Slowenien|Slovénie|Eslovenia|Slovenija
SJ SJM Svalbard & Jan Mayen|Svalbard|Svalbard og Jan Mayen
SK SVK Slovakia|Slovak Republic|Slowakei|Slovaquie|Eslovaquia|Slovacchia|Slowakije|Slovensko
SL SLE Sierra Leone
SM SMR San Marino
SN SEN Senegal
SO SOM Somalia|Soomaaliya|الصومال
SR SUR Suriname
SS SSD South Sudan
ST STP São Tomé & Príncipe|São Tomé e Príncipe
SV SLV El Salvador
SX SXM Sint Maarten
SY SYR Syria|Syrian Arab Republic|سوريا
SZ SWZ Eswatini|Swaziland
TA TAA Tristan da Cunha
TC TCA Turks & Caicos Islands
TD TCD Chad|تشاد|Tchad
TF ATF French Southern Territories
TG TGO Togo
TH THA Thailand|Thaïlande|Tailandia|Thailandia|ไทย
TJ TJK Tajikistan|Тоҷикистон
TK TKL Tokelau
TL TLS Timor-Leste|East Timor
TM TKM Turkmenistan
TN TUN Tunisia|Tunesien|Tunisie|Túnez|Tunesië|تونس
TO TON Tonga
TR TUR Türkiye|Turkey|Türkei|Turquie|Turquía|Turchia|Turkije
TT TTO Trinidad & Tobago|Trinidad
TV TUV Tuvalu
TW TWN Taiwan|Taiwan, Province of China|Republic of China|台灣
TZ TZA Tanzania|United Republic of Tanzania|Tanzania, United Republic of
UA UKR Ukraine|Ucrania|Ucraina|Oekraïne|Україна
UG UGA Uganda
UM UMI U.S. Outlying Islands
US USA United States|United States of America|U.S.A.|America|Etats-Unis|EEUU|EE.UU.|Vereinigte Staaten|\
Estados Unidos|Stati Uniti|Verenigde Staten
UY URY Uruguay
UZ UZB Uzbekistan|Oʻzbekiston|Ўзбекистон
VA VAT Vatican City|Holy See|Vatican
VC VCT St. Vincent & Grenadines|Saint Vincent and the Grenadines
VE VEN Venezuela|Bolivarian Republic of Venezuela|Venezuela, Bolivarian Republic of
VG VGB British Virgin Islands|Virgin Islands, British
VI VIR U.S. Virgin Islands|US Virgin Islands|Virgin Islands, U.S.
VN VNM Vietnam|Viet Nam|Vietnã
VU VUT Vanuatu
WF WLF Wallis & Futuna|Wallis-et-Futuna
WS WSM Samoa
XK XKX Kosovo|Republic of Kosovo|Kosovë|Косово
YE YEM Yemen|اليمن
YT MYT Mayotte
ZA ZAF South Africa|RSA|Südafrika|Afrique du Sud|Sudáfrica|África do Sul|Zuid-Afrika
ZM ZMB Zambia
ZW ZWE Zimbabwe
"""
