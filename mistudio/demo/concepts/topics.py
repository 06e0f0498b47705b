"""Subjects, and words of one sort: label, pattern, accepted wordings."""

from mistudio.demo.concepts.words import words

FAMILIES = {
    "medicine": {
        "medical terms": (
            words("patient patients symptoms diagnosis treatment dose disease infection hospital physician"),
            r"medic|patient|clinic|disease|health|hospital"),
        "drug names": (
            words("aspirin metformin insulin ibuprofen amoxicillin warfarin heparin morphine"),
            r"drug|medic|pharma"),
        "diseases and illness": (
            words("disease diseases fever cholera cancer epidemic illness influenza AIDS"),
            r"disease|illness|epidemic|medic|health"),
        "health care": (words("health care medical insurance Medicare"), r"health|medic|insurance|care"),
    },
    "law": {
        "law courts and judges": (
            words("court courts judge judges jury judicial tribunal justice"),
            r"court|judge|judic|legal|law|justice|tribunal"),
        "crime and punishment": (
            words("crime crimes criminal murder theft prison punishment offenders guilty"),
            r"crim|punish|prison|offen|guilt"),
    },
    "licences": {
        "legal terms in licences": (
            words("warranty warranties liability license licensed copyright hereby herein"),
            r"licen|legal|warrant|copyright|liabil"),
    },
    "mathematics": {
        "mathematical terms": (
            words("equation matrix theorem polynomial integral derivative vector eigenvalue eigenvalues"),
            r"math|algebra|equation|calculus"),
        "geometry and shapes": (
            words("circle triangle polygon angle sphere plane radius rectangle"),
            r"geometr|shape|circle|angle"),
        "graph theory terms": (
            words("graph node nodes edge edges vertex vertices subgraph"),
            r"graph|node|edge|network|vert"),
    },
    "statistics": {
        "statistical terms": (
            words("variance mean median regression probability distribution covariance deviation"),
            r"statistic|probab|distribution|varianc"),
    },
    "machine learning": {
        "machine learning terms": (
            words("training classifier estimator gradient loss layer neural embedding"),
            r"machine learning|neural|training|classif|estimator|model"),
    },
    "measurement": {
        "scientific measurement": (
            words("temperature pressure frequency density velocity mass"),
            r"measure|physic|scien|quantit|temperature|pressure"),
    },
    "materials": {
        "metals and materials": (
            words("copper iron steel gold silver nitrogen oxygen carbon"),
            r"metal|material|chemi|element|mineral"),
    },
    "money": {
        "money and currency": (
            words("dollars currency coin coinage money cents gold silver"),
            r"money|currenc|coin|dollar|monetary"),
        "taxes and duties": (words("tax taxes taxation tariff duties revenue"), r"\btax|tarif|dut(y|ies)|revenue"),
        "banks and finance": (
            words("bank banks credit loan loans debt interest bonds"),
            r"bank|financ|debt|credit|loan"),
        "trade and commerce": (
            words("trade commerce exports imports merchants markets"),
            r"trade|commerc|export|market|business"),
    },
    "farming": {
        "farming and crops": (words("farm farmers farmer agriculture crops wheat cotton corn"), r"farm|agricult|crop"),
    },
    "war": {
        "war and battle": (
            words("war battle army troops soldiers invasion enemy hostilities"),
            r"\bwar|battle|army|militar|troop|soldier"),
        "weapons": (
            words("weapons missiles missile guns arms bombs nuclear"),
            r"weapon|missile|\barms\b|nuclear|militar"),
        "ships and the navy": (
            words("ships vessels navy naval fleet harbor ship vessel"),
            r"ship|vessel|nav(y|al)|fleet|maritime"),
    },
    "transport": {
        "railroads and transport": (
            words("railroad railroads railway canal highways transportation roads"),
            r"rail|transport|road|highway|canal"),
    },
    "education": {
        "education and schools": (
            words("school schools education teachers students colleges college"),
            r"educat|school|teach|student|college"),
    },
    "family": {
        "family members": (
            words("father mother children child son daughter wife husband parents families"),
            r"famil|parent|child|father|mother|relative"),
    },
    "religion": {
        "religion and God": (
            words("God Providence Almighty prayer blessing blessings faith church"),
            r"religi|\bgod\b|faith|church|divine|pray|bless"),
    },
    "government": {
        "elections and voting": (words("election elections vote votes voters ballot voting"), r"elect|vot|ballot"),
        "government offices": (
            words("President Secretary Senator Governor Minister Attorney"),
            r"office|government|president|secretary|title"),
        "Congress": (words("Congress Senate House Representatives"), r"congress|senate|house|legislat"),
    },
    "calendar": {
        "names of months": (
            words("January February March April June July August September October November December"),
            r"month"),
        "days of the week": (words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"), r"\bdays?\b|week"),
        "units of time": (
            words("year years month months day days week weeks hour hours"),
            r"\btime|year|month|duration|period"),
    },
    "sequence": {
        "times and sequence: before, after, until": (
            words("before after until since during"),
            r"\btime|sequence|before|after|tempor"),
    },
    "colors": {"colors": (words("red blue green white black yellow"), r"colou?r")},
    "places": {
        "countries": (
            words("Mexico France Spain England Britain Russia China Japan Germany Cuba Iraq Canada"),
            r"countr|nation"),
        "European countries": (words("France Spain Germany Russia Italy Portugal"), r"countr|europe|nation"),
        "cities": (
            words("Lisbon Osaka Denver Nairobi Leeds Quito Hanoi Bergen Austin Perth Lyon Cairo"),
            r"cit(y|ies)|place|town"),
        "US states": (words("Texas California Kansas Virginia Florida Oregon Louisiana Alaska"), r"\bstates?\b"),
    },
    "peoples": {
        "Native American peoples": (words("Indian Indians tribes Cherokee Creek Sioux"), r"native|indian|tribe"),
    },
    "names": {
        "first names of people": (
            words("Maria John Aiko Peter Ruth Omar Lena Samuel Grace Ivan Clara David"),
            r"\bnames?\b|people|person"),
    },
    "freedom": {"freedom and liberty": (words("freedom liberty free independence"), r"free|libert|independen")},
    "peace": {
        "peace and friendship": (words("peace peaceful friendship friendly harmony amicable"), r"peace|friend|harmon"),
    },
    "change": {
        "words of increase": (
            words("increase increased increasing growth grow grew rise rising"),
            r"increas|grow|rise|rising"),
        "words of decrease": (
            words("decrease reduced reduce reduction decline diminished fell"),
            r"decreas|reduc|declin|diminish|fall"),
    },
    "feelings": {
        "hope and confidence": (words("hope confident confidence trust hopeful"), r"hope|confiden|trust"),
        "sadness and suffering": (
            words("suffering regret grief sorrow misery distress"),
            r"sad|suffer|grief|sorrow|regret|distress|misery"),
        "danger and threats": (
            words("danger dangers threat threats peril risk dangerous"),
            r"danger|threat|peril|risk"),
        "praise: great, noble, glorious": (
            words("great noble glorious grand magnificent"),
            r"praise|great|noble|glor|grand|positive"),
    },
    "modality": {
        "obligation: must, should, ought": (words("must should ought shall"), r"oblig|modal|must|should|shall|necess"),
        "possibility: may, might, could": (words("may might could perhaps possibly"), r"possib|modal|may|might|could"),
    },
    "negation": {"negation": (words("not no never none nor neither"), r"negat|\bnot\b|never")},
    "pronouns": {
        "pronouns for people": (words("he she they him them his her their"), r"pronoun|\bhe\b|they|their|\bhis\b"),
        "first-person pronouns": (words("I we my our us me"), r"pronoun|first.person|\bwe\b|\bour\b"),
    },
    "question words": {
        "question words: what, which, why": (words("what which why how who"), r"question|interrog|what|which|wh-"),
    },
    "comparison": {"comparisons: more, less, than": (words("more less than most least"), r"compar|more|less|than")},
    "quantity": {
        "quantities: many, few, several": (words("many few several some all"), r"quanti|many|several|amount|number"),
    },
    "verbs": {"forms of to be": (words("is are was were been being"), r"to be\b|verb|\bis\b|\bwas\b|\bare\b|\bwere\b")},
    "articles": {"articles a, an and the": (words("a an the"), r"article|determiner|\bthe\b")},
    "prepositions": {
        "prepositions of place": (words("in on at under over between"), r"preposition|\bin\b|\bon\b|place|location"),
    },
    "files": {
        "computer files and folders": (
            words("file files directory folder path filename"),
            r"\bfiles?\b|director|folder|\bpaths?\b"),
    },
    "networks": {
        "networking terms": (
            words("server client socket port host request connection"),
            r"network|server|client|connect|request|socket|host|web"),
    },
    "databases": {
        "databases and tables": (
            words("SELECT table column columns query database row rows"),
            r"database|sql|table|column|quer|\brows?\b"),
    },
    "installation": {
        "installation instructions": (words("install pip installation package conda"), r"install|package|pip"),
    },
    "errors": {"errors and failures": (words("error errors fail fails failed failure invalid"), r"error|fail|invalid")},
    "weather": {
        "weather and climate": (
            words("rain storm storms drought floods flood climate weather"),
            r"weather|climate|storm|flood|disaster"),
    },
    "energy": {
        "energy and fuel": (words("energy oil coal fuel electricity petroleum"), r"energy|fuel|\boil\b|coal|power"),
    },
    "work": {
        "workers and jobs": (
            words("workers jobs labor employment wages unemployment"),
            r"work|\bjobs?\b|labou?r|employ|wage"),
    },
    "goods": {
        "food and groceries": (
            words("oil beans potatoes sugar meat bread coffee"),
            r"food|grocer|cook|ingredient|crop"),
        "household goods": (
            words("wire table coat cap hose notebook lamp stool poles bolts blanket tile"),
            r"household|goods|item|object|product|furniture|equipment|supplies"),
    },
    "steps": {
        "cooking and workshop steps": (
            words("Measure Cut Rinse Heat Fold Mix Drill Sand Paint Weigh Dry"),
            r"cook|step|instruct|recipe|verb|workshop|imperative"),
    },
    "body": {"parts of the body": (words("hand hands head heart eyes face arm feet blood mouth"), r"body|anatom")},
    "land": {
        "rivers, mountains and land": (
            words("river rivers mountain mountains lake valley coast island islands"),
            r"river|mountain|geograph|land|lake|coast"),
    },
    "size": {
        "size: large, small, long": (words("large small big long short wide deep"), r"size|large|small|dimension"),
    },
    "speech": {
        "verbs of saying": (
            words("say said says tell told speak spoke ask asked"),
            r"say|said|speech|speak|tell|communicat"),
    },
    "thought": {
        "verbs of thinking and knowing": (
            words("think know believe knew thought understand"),
            r"think|know|belie|thought|mental|cognit"),
    },
    "youth and age": {
        "youth and old age": (words("young old youth age aged elderly"), r"young|youth|\bage|\bold\b|elder"),
    },
}
